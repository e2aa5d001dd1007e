"""Attempts and stores without any machine: rows as an agent would write them, files as a coordinator would."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from joulefleet.plan.expand import cells, comparands
from joulefleet.plan.trial import Cell, cell_columns
from joulefleet.schema import ATTEMPT_SCHEMA, COLUMNS, attempt_table
from joulefleet.store.layout import format_bytes
from joulefleet.store.records import ComparandRecord, StudyRecord
from joulefleet.study.load import study_of, study_to_json
from joulefleet.study.spec import Study
from joulefleet.versions import SCHEMA_VERSION
from joulefleet.yamlfile.reader import parse_yaml

STARTED = datetime(2026, 3, 1, 12, tzinfo=UTC)

MACHINE = ("machine-1", "bench")

TWELVE_CELLS = """
name: twelve
seed: 1
regime: burst
repetitions: 3
models:
  bert: {architecture: {model_type: bert}}
  distilbert: {architecture: {model_type: distilbert}}
  gpt2: {architecture: {model_type: gpt2}}
  distilgpt2: {architecture: {model_type: gpt2}}
tasks:
  sst2: {preset: sst2}
  stsb: {preset: stsb}
  mnli: {preset: mnli}
pairs:
  bert: {teacher: bert, student: distilbert}
  gpt2: {teacher: gpt2, student: distilgpt2}
"""

_SECONDS_AN_ITEM = {"bert": 0.050, "distilbert": 0.026, "gpt2": 0.060, "distilgpt2": 0.031}


def study_from(text: str = TWELVE_CELLS) -> Study:
    """Return the study in `text`, by default one of 4 models, 3 tasks and 3 blocks."""
    return study_of(parse_yaml(text, name="fake"), name="fake")


def attempt_row(**overrides: Any) -> dict[str, Any]:
    """Return a row of a measured trial of 64 items in 2 s at 40 W; `overrides` are columns."""
    row = {column.name: None for column in COLUMNS} | _identity() | _place() | _window() | _details()
    row |= overrides
    row.setdefault("attempt_id", None)
    if row["attempt_id"] is None:
        row["attempt_id"] = f"{row['trial_id']}-r{row['round']}-a{row['attempt']}"
    return row


def failed_row(reason: str = "timeout", **overrides: Any) -> dict[str, Any]:
    """Return a row of a trial that failed: it has an identity and no measurement."""
    nothing = dict.fromkeys(_window()) | dict.fromkeys(_details())
    nothing |= {"labels": {}, "flags": []}
    return attempt_row(**(nothing | {"status": "failed", "reason": reason, "message": "it failed"} | overrides))


def twelve_cell_rows(study: Study, *, machines: Iterable[tuple[str, str]] = (MACHINE,)) -> list[dict[str, Any]]:
    """Return one ok trial of each cell in each block on each machine; students take about half the time."""
    rng = random.Random(study.name)
    rows: list[dict[str, Any]] = []
    for machine_id, machine in machines:
        for block in range(1, study.repetitions + 1):
            for position, cell in enumerate(cells(study), start=1):
                seconds = 64 * _SECONDS_AN_ITEM.get(cell.model, 0.05) * rng.uniform(0.97, 1.03)
                rows.append(
                    trial_row(
                        study,
                        cell,
                        block,
                        position=position,
                        machine_id=machine_id,
                        machine=machine,
                        place=machine_id,
                        window_s=seconds,
                        cpu_seconds=2 * seconds,
                        energy_modelled_j=7 * seconds,
                        started_at=STARTED + timedelta(minutes=len(rows)),
                    )
                )
    return rows


def trial_row(study: Study, cell: Cell, block: int, **overrides: Any) -> dict[str, Any]:
    """Return an ok row of `cell` in `block` of `study`."""
    machine_id = overrides.get("machine_id", MACHINE[0])
    known: dict[str, Any] = {
        "study": study.name,
        "trial_id": f"{cell.model}.{cell.task}.{cell.batch_size}.{cell.threads}.{cell.dtype}.b{block}.{machine_id}",
        "protocol": f"protocol of {cell.model} on {cell.task}",
        **cell_columns(cell),
        "regime": study.regime,
        "block": block,
        "repetition": block,
    }
    return attempt_row(**(known | overrides))


def write_store(
    path: Path,
    rows: Iterable[Mapping[str, Any]],
    study: Study | None = None,
    *,
    machines: Iterable[tuple[str, str]] = (MACHINE,),
) -> Path:
    """Make a store at `path` with `rows`, and with the record of `study` on `machines`."""
    for folder in ("attempts", "studies"):
        (path / folder).mkdir(parents=True, exist_ok=True)
    (path / "format.json").write_bytes(format_bytes("fake"))
    for row in rows:
        write_attempt(path, row)
    if study is not None:
        write_study(path, study, machines=machines)
    return path


def write_attempt(store: Path, row: Mapping[str, Any]) -> Path:
    """Write `row` under its attempt's name."""
    file = store / "attempts" / f"{row['attempt_id']}.parquet"
    pq.write_table(attempt_table(row), file)
    return file


def write_compacted(store: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write `rows` into one compacted file."""
    (store / "compacted").mkdir(exist_ok=True)
    file = store / "compacted" / "part.parquet"
    every = [dict(row) for row in rows]
    assert all(row.keys() == set(ATTEMPT_SCHEMA.names) for row in every)
    pq.write_table(pa.Table.from_pylist(every, schema=ATTEMPT_SCHEMA), file, compression="none")
    return file


def write_measured(
    path: Path, rows: Iterable[Mapping[str, Any]], study: Study, machines: Iterable[tuple[str, str]] = (MACHINE,)
) -> Path:
    """Make a store at `path` as `write_store` does, with all rows in one file: many are written and read at once."""
    write_store(path, [], study, machines=machines)
    write_compacted(path, rows)
    return path


def write_study(
    store: Path,
    study: Study,
    *,
    machines: Iterable[tuple[str, str]] = (MACHINE,),
    requested_at: datetime = STARTED,
) -> Path:
    """Write the record of `study` as a coordinator does; each machine is a place."""
    file = store / "studies" / f"{study.name}-{requested_at:%Y%m%dT%H%M%S}.json"
    file.write_bytes(record_of(study, machines=machines, requested_at=requested_at).to_json())
    return file


def record_of(
    study: Study, *, machines: Iterable[tuple[str, str]] = (MACHINE,), requested_at: datetime = STARTED
) -> StudyRecord:
    """Return the record of `study` on `machines`, each of which is a place."""
    names = tuple(machines)
    return StudyRecord(
        definition=study_to_json(study),
        machines=names,
        places=names,
        comparands=tuple(ComparandRecord(**asdict(comparand)) for comparand in comparands(study)),
        requested_at=requested_at,
    )


def _identity() -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "study": "fake",
        "trial_id": "0123456789abcdef0123",
        "kind": "trial",
        "attempt": 1,
        "round": 1,
        "protocol": "protocol",
        "model": "bert",
        "task": "sst2",
        "batch_size": 1,
        "threads_requested": 0,
        "dtype": "float32",
        "regime": "burst",
        "isolation": "warm",
        "weights_source": "seeded",
        "repetition": 1,
        "block": 1,
        "position": 1,
        "labels": {},
        "status": "ok",
        "flags": [],
        "started_at": STARTED,
        "boot_id": "boot",
        "passes": 1,
        "item_repeats": 1,
    }


def _place() -> dict[str, Any]:
    return {
        "place": MACHINE[0],
        "machine": MACHINE[1],
        "machine_id": MACHINE[0],
        "cpu_model": "Fake CPU 3000",
        "sockets": 1,
        "physical_cores": 2,
        "logical_cpus": 4,
        "memory_bytes": 8 << 30,
        "virtualised": False,
        "environment": "bare",
        "environment_id": "environment",
        "runtime": "none",
        "engine": "torch 2.13.0",
        "kernel": "6.1",
        "libraries": {"torch": "2.13.0"},
    }


def _window() -> dict[str, Any]:
    return {
        "wall_s": 5.0,
        "window_s": 2.0,
        "work_s": 1.999,
        "items": 64,
        "tokens": 1600,
        "padded_tokens": 1600,
        "energy_j": None,
        "energy_reason": "no RAPL here",
        "energy_modelled_j": 14.0,
        "modelled_formula": "idle + busy",
        "modelled_parameters": {"busy_w_per_cpu": 3.5},
        "baseline_s": 0.5,
        "cpu_percent": 200.0,
        "cpu_seconds": 4.0,
        "observer_cpu_s": 0.01,
        "foreign_cpu_s": 0.02,
        "base_rss_bytes": 400_000_000,
        "peak_rss_bytes": 900_000_000,
        "work_peak_bytes": 500_000_000,
        "threads": 4,
    }


def _details() -> dict[str, Any]:
    return {
        "quality_reason": "the weights are seeded",
        "phases": [],
        "energies": [
            {
                "phase": "window",
                "domain": "package",
                "source": "modelled",
                "provenance": "modelled",
                "joules": 14.0,
                "reason": None,
            },
            {
                "phase": "window",
                "domain": "package",
                "source": "powercap",
                "provenance": "measured",
                "joules": None,
                "reason": "no RAPL here",
            },
        ],
        "latencies_ns": [30_000_000, 32_000_000],
        "readings": [
            {
                "channel": "work.cpu",
                "unit": "s",
                "kind": "counter",
                "source": "proc",
                "t_ns": [10, 20, 30],
                "value": [0.1, None, 0.3],
            }
        ],
    }
