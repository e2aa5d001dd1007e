"""Imported runs as rows of the schema, null where the tool reported no value, and the record of their study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from coordinator.importing.mapping.spec import CommonMapping
from coordinator.importing.model import FLAG_REPAIRED, Identity, ImportedRun, Package
from coordinator.importing.problems import ImportProblems, quoted
from coordinator.importing.tables.folders import natural_path
from joulefleet.digest import digest
from joulefleet.schema import columns_of, complete_row
from joulefleet.store.records import ComparandRecord, ImportRecord, StudyRecord


def run_id(study: str, tool: str, run: ImportedRun) -> str:
    """Return the identity of an imported trial: equal for equal data in the same folder of the same study."""
    return digest(["imported", study, tool, run.folder, run.run, run.content])


def attempt_id(study: str, tool: str, run: ImportedRun) -> str:
    """Return the identity of the only attempt at an imported trial."""
    return f"{run_id(study, tool, run)}-r1-a1"


def import_rows(study: str, package: Package) -> Iterator[dict[str, Any]]:
    """Yield one row for each run of `package`, in the order in which they ran."""
    repetitions: Counter[str] = Counter()
    for run in in_run_order(package.runs):
        cell = _cell_digest(run.identity)
        repetitions[cell] += 1
        yield _row(study, package.tool, run, repetition=repetitions[cell])


def in_run_order(runs: Sequence[ImportedRun]) -> list[ImportedRun]:
    """Return the runs by their start times if all are known, else by folder; within a folder in the table's order."""
    by_folder = sorted(runs, key=lambda run: natural_path(run.folder))
    starts = [run.values.started_at for run in by_folder]
    known = [start for start in starts if start is not None]
    if len(known) < len(starts):
        return by_folder
    order = sorted(range(len(known)), key=known.__getitem__)
    return [by_folder[index] for index in order]


def _cell_digest(identity: Identity) -> str:
    machine = identity.machine.machine_id
    # Without the labels, as in our own studies: a label may number the runs.
    return digest([identity.model, identity.task, machine, identity.batch_size, identity.threads, identity.dtype])


def _row(study: str, tool: str, run: ImportedRun, *, repetition: int) -> dict[str, Any]:
    identity, values, energy, machine = run.identity, run.values, run.energy, run.identity.machine
    return complete_row(
        columns_of(machine.record)
        | columns_of(values)
        | {
            "study": study,
            "imported_from": tool,
            "trial_id": run_id(study, tool, run),
            "attempt_id": attempt_id(study, tool, run),
            "kind": "trial",
            "attempt": 1,
            "round": 1,
            "place": machine.machine_id,
            "machine": machine.name,
            "machine_id": machine.machine_id,
            "os": run.os or machine.record.os,
            "libraries": run.libraries,
            "model": identity.model,
            "task": identity.task,
            "batch_size": identity.batch_size,
            "threads": identity.threads,
            "threads_requested": identity.threads,
            "dtype": identity.dtype,
            "repetition": repetition,
            "labels": dict(identity.labels) | {"folder": run.folder, "run": run.run},
            "status": "ok",
            "flags": [FLAG_REPAIRED] if energy.repaired else [],
            "energy_reason": f"imported from {tool}: what it reported is in energy_reported_j",
            "energy_reported_j": energy.joules,
            "reported_by": energy.by,
            "energy_repair": energy.repair,
            "quality_reason": None if values.quality is not None else "the imported data have none",
            "phases": [],
            "energies": [],
            "readings": run.readings,
        }
    )


def import_record(study: str, package: Package, mapping: CommonMapping, given: Mapping[str, Any]) -> StudyRecord:
    """Return the record of `package` as the study named `study`; `given` is the mapping as plain data."""
    planned = Counter(identity.machine.machine_id for identity in package.planned)
    names = {identity.machine.machine_id: identity.machine.name for identity in package.planned}
    models = dict.fromkeys(identity.model for identity in package.planned)
    tasks = dict.fromkeys(identity.task for identity in package.planned)
    return StudyRecord(
        definition={
            "name": study,
            "description": mapping.description,
            "models": {name: {} for name in models},
            "tasks": {name: {} for name in tasks},
        },
        machines=tuple(sorted(names.items())),
        places=tuple(sorted(names.items())),
        comparands=tuple(
            ComparandRecord(name=name, kind="distillation", teacher=pair.teacher, student=pair.student)
            for name, pair in mapping.pairs.items()
        ),
        requested_at=datetime.now(tz=UTC),
        imported=ImportRecord(
            tool=package.tool,
            planned=dict(sorted(planned.items())),
            content=digest([sorted(attempt_id(study, package.tool, run) for run in package.runs), given]),
            mapping=given,
        ),
    )


def check_pairs(mapping: CommonMapping, package: Package, name: str) -> None:
    """Raise StudyError if a pair of `mapping`, which messages call `name`, has a model without runs."""
    problems = ImportProblems()
    models = sorted({identity.model for identity in package.planned})
    for pair_name, pair in mapping.pairs.items():
        for side in ("teacher", "student"):
            model = getattr(pair, side)
            if model not in models:
                known = ", ".join(models)
                problems.add(
                    name, f"pairs.{pair_name}.{side}: no run has the model {quoted(model)}; there are {known}."
                )
    problems.raise_if_any()
