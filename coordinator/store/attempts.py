"""The attempts of a study that a store holds, which is all that a restart needs."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import joulefleet
from coordinator.scheduling.attempt import AttemptFact
from coordinator.store.study_record import imported_study
from joulefleet.plan.trial import Cell

COLUMNS = (
    "trial_id",
    "attempt_id",
    "place",
    "machine_id",
    "boot_id",
    "kind",
    "block",
    "round",
    "attempt",
    "model",
    "task",
    "batch_size",
    "threads_asked",
    "dtype",
    "environment",
    "protocol",
    "status",
    "reason",
    "window_s",
    "passes",
    "wall_s",
    "started_at",
    "flags",
)
"""Columns of an attempt that decide what is left to do."""


def facts_in(root: Path, study: str) -> list[AttemptFact]:
    """Return every attempt of `study` in the store at `root`. Raises StoreError."""
    names = ", ".join(f'"{name}"' for name in COLUMNS)
    with joulefleet.open(root) as store:
        for record in store.studies:
            if record.name == study and record.imported_from is not None:
                raise imported_study(study, record.imported_from)
        table = store.arrow(f"select {names} from attempts where study = ?", [study])  # noqa: S608  # names are ours
    return list(_facts(table.to_pylist()))


def one_attempt(compacted: Path, attempt_id: str) -> bytes:
    """Return the row of one attempt of the file `compacted` as a Parquet file. Raises FileNotFoundError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(pq.read_table(pa.OSFile(str(compacted)), filters=[("attempt_id", "=", attempt_id)]), buffer)
    return buffer.getvalue()


def fact_of(parquet: bytes) -> AttemptFact:
    """Return the attempt in the file `parquet`, as an agent sends it."""
    return study_and_fact(parquet)[1]


def study_and_fact(parquet: bytes) -> tuple[str, AttemptFact]:
    """Return the study and the attempt in the file `parquet`: an outbox holds attempts of all studies of a store."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # pq.read_table takes five times as long for a file of one row, and a fleet sends a hundred files a second.
    table = pq.ParquetFile(pa.BufferReader(parquet)).read(columns=["study", *COLUMNS], use_threads=False)
    row = table.to_pylist()[0]
    return str(row["study"]), next(_facts([row]))


def _facts(rows: Iterable[Mapping[str, Any]]) -> Iterator[AttemptFact]:
    cells: dict[tuple[Any, ...], Cell] = {}
    for row in rows:
        key = (row["model"], row["task"], row["batch_size"], row["threads_asked"], row["dtype"], row["environment"])
        cell = cells.get(key)
        if cell is None:
            model, task, batch_size, threads, dtype, environment = key
            cell = cells[key] = Cell(
                model=model, task=task, batch_size=batch_size, threads=threads, dtype=dtype, environment=environment
            )
        yield AttemptFact(
            trial_id=row["trial_id"],
            attempt_id=row["attempt_id"],
            place=row["place"],
            machine_id=row["machine_id"],
            boot_id=row["boot_id"],
            kind=row["kind"],
            block=row["block"],
            round=row["round"],
            attempt=row["attempt"],
            cell=cell,
            protocol=row["protocol"],
            status=row["status"],
            reason=row["reason"],
            window_s=row["window_s"],
            passes=row["passes"],
            wall_s=row["wall_s"] or 0.0,
            ended_s=row["started_at"].timestamp() + (row["wall_s"] or 0.0),
            flags=tuple(row["flags"] or ()),
        )
