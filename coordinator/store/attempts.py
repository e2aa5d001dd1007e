"""The attempts of a study that a store holds, which is all that a restart needs."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import joulefleet
from coordinator.scheduling.attempt import AttemptFact
from coordinator.store.study_record import imported_study
from joulefleet.plan.trial import CELL_COLUMNS, Cell, cell_in

_FACTS = tuple(field.name for field in fields(AttemptFact) if field.name not in {"cell", "ended_s"})
COLUMNS = (*_FACTS, *CELL_COLUMNS, "started_at")
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
        key = tuple(row[name] for name in CELL_COLUMNS)
        if key not in cells:
            cells[key] = cell_in(row)
        known = {name: row[name] for name in _FACTS}
        wall_s = row["wall_s"] or 0.0
        ended_s = row["started_at"].timestamp() + wall_s
        yield AttemptFact(
            **known | {"cell": cells[key], "wall_s": wall_s, "ended_s": ended_s, "flags": tuple(row["flags"] or ())}
        )
