"""Imported runs as rows of the schema, where what the tool did not report is null, and the record of their study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from math import isnan
from typing import Any

from coordinator.importing.mapping.spec import CommonMapping
from coordinator.importing.model import FLAG_REPAIRED, Identity, ImportedRun, Package
from coordinator.importing.problems import ImportProblems, quoted
from coordinator.importing.tables.folders import natural_path
from joulefleet.digest import digest
from joulefleet.measurement import Readings
from joulefleet.schema import COLUMNS
from joulefleet.store.records import ComparandRecord, ImportRecord, StudyRecord
from joulefleet.versions import SCHEMA_VERSION


def run_id(study: str, tool: str, run: ImportedRun) -> str:
    """Return the id of an imported trial: a digest of study, tool, folder, name and content of its run."""
    return digest(["imported", study, tool, run.folder, run.run, run.content])


def attempt_id(study: str, tool: str, run: ImportedRun) -> str:
    """Return the id of the only attempt of an imported trial."""
    return f"{run_id(study, tool, run)}-r1-a1"


def import_rows(study: str, package: Package) -> Iterator[dict[str, Any]]:
    """Yield one row for each run of `package`, in the order in which they ran, with all columns of the schema."""
    before: Counter[str] = Counter()
    for run in in_run_order(package.runs):
        cell = _cell(run.identity)
        before[cell] += 1
        yield _row(study, package.tool, run, repetition=before[cell])


def in_run_order(runs: Sequence[ImportedRun]) -> list[ImportedRun]:
    """Return `runs` ordered by start if all starts are known, else by folder, and within a folder as in its table."""
    by_folder = sorted(runs, key=lambda run: natural_path(run.folder))
    starts = [run.values.started_at for run in by_folder]
    known = [start for start in starts if start is not None]
    if len(known) < len(starts):
        return by_folder
    order = sorted(range(len(known)), key=known.__getitem__)
    return [by_folder[index] for index in order]


def _cell(identity: Identity) -> str:
    machine = identity.machine.machine_id
    # As in measured studies, labels are not part of a cell: one of them may number the runs.
    return digest([identity.model, identity.task, machine, identity.batch_size, identity.threads, identity.dtype])


def _row(study: str, tool: str, run: ImportedRun, *, repetition: int) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(column.name for column in COLUMNS)
    identity, values, energy = run.identity, run.values, run.energy
    row |= {
        "schema_version": SCHEMA_VERSION,
        "study": study,
        "imported_from": tool,
        "trial_id": run_id(study, tool, run),
        "attempt_id": attempt_id(study, tool, run),
        "kind": "trial",
        "attempt": 1,
        "round": 1,
        "model": identity.model,
        "task": identity.task,
        "batch_size": identity.batch_size,
        "threads": identity.threads,
        "threads_asked": identity.threads,
        "dtype": identity.dtype,
        "repetition": repetition,
        "labels": list((dict(identity.labels) | {"folder": run.folder, "run": run.run}).items()),
        "libraries": list(run.libraries.items()),
        "status": "ok",
        "flags": [FLAG_REPAIRED] if energy.repaired else [],
        "started_at": values.started_at,
        "window_s": values.window_s,
        "items": values.items,
        "tokens": values.tokens,
        "energy_reason": f"imported from {tool}: what it reported is in energy_reported_j",
        "energy_reported_j": energy.joules,
        "reported_by": energy.by,
        "energy_repair": energy.repair,
        "cpu_percent": values.cpu_percent,
        "cpu_seconds": values.cpu_seconds,
        "mean_rss_bytes": values.mean_rss_bytes,
        "peak_rss_bytes": values.peak_rss_bytes,
        "quality": values.quality,
        "quality_metric": values.quality_metric,
        "quality_reason": None if values.quality is not None else "the imported data have none",
        "phases": [],
        "energies": [],
        "readings": [_readings(series) for series in run.readings],
    }
    return row | _place(identity) | {"os": run.os or identity.machine.record.os}


def _place(identity: Identity) -> dict[str, Any]:
    machine, record = identity.machine, identity.machine.record
    return {
        "place": machine.machine_id,
        "machine": machine.name,
        "machine_id": machine.machine_id,
        "cpu_model": record.cpu_model,
        "sockets": record.sockets,
        "physical_cores": record.physical_cores,
        "logical_cpus": record.logical_cpus,
        "memory_bytes": record.memory_bytes,
        "virtualised": record.virtualised,
        "environment": record.environment,
    }


def _nulls(values: Sequence[float]) -> Sequence[float | None]:
    return [None if isnan(value) else value for value in values] if any(map(isnan, values)) else values


def _readings(series: Readings) -> dict[str, Any]:
    channel = series.channel
    return {
        "channel": channel.name,
        "unit": channel.unit,
        "kind": channel.kind,
        "source": channel.source,
        "t_ns": series.t_ns,
        "value": _nulls(series.value),
    }


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
        asked_at=datetime.now(tz=UTC),
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
