"""Imported runs as rows of the schema: what the other tool did not say is null."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import isnan
from typing import Any

from coordinator.importing.model import FLAG_REPAIRED, Identity, ImportedRun, Package
from coordinator.importing.tables.folders import natural_path
from joulefleet.digest import digest
from joulefleet.measurement import Readings
from joulefleet.schema import COLUMNS
from joulefleet.versions import SCHEMA_VERSION


def run_id(study: str, tool: str, run: ImportedRun) -> str:
    """The identity of an imported trial: equal for equal data at the same place of the same study."""
    return digest(["imported", study, tool, run.folder, run.run, run.content])


def attempt_id(study: str, tool: str, run: ImportedRun) -> str:
    """The identity of its one attempt."""
    return f"{run_id(study, tool, run)}-r1-a1"


def import_rows(study: str, package: Package) -> Iterator[dict[str, Any]]:
    """One row a run of `package`, in the order in which they ran, in the columns of the schema."""
    before: Counter[str] = Counter()
    for run in in_run_order(package.runs):
        cell = _cell(run.identity)
        before[cell] += 1
        yield _row(study, package.tool, run, repetition=before[cell])


def in_run_order(runs: Sequence[ImportedRun]) -> list[ImportedRun]:
    """By their starts where all are known, else by folder; within a folder as its table has them."""
    by_folder = sorted(runs, key=lambda run: natural_path(run.folder))
    starts = [run.values.started_at for run in by_folder]
    known = [start for start in starts if start is not None]
    if len(known) < len(starts):
        return by_folder
    order = sorted(range(len(known)), key=known.__getitem__)
    return [by_folder[index] for index in order]


def _cell(identity: Identity) -> str:
    machine = identity.machine.machine_id
    # Labels are no part of a cell, here as in studies of our own: one of them may number the runs.
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
