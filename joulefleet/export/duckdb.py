"""A store as one DuckDB file, which any client of DuckDB opens without Joulefleet.

Each view becomes a table of its name, row for row, with units and meanings as comments; the macros go
along. The file is a copy of one moment: the store stays the truth, and the file can be made again.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from joulefleet.durable import sync_folder
from joulefleet.errors import QueryError
from joulefleet.query.catalog import Entry, catalogue
from joulefleet.query.store import Store
from joulefleet.query.views import create_macros
from joulefleet.store.compaction import Step
from joulefleet.store.scan import quoted
from joulefleet.store.snapshot import FileGone

_BEGUN = 3
"""So often it is begun: attempts that are compacted meanwhile are gone from where they were, but not for long."""

_ROWS = {"attempts": 100}
"""What is copied at once of a view whose rows hold whole series of readings: megabytes each."""

_MEMORY = "1GB"
"""Rows are only written, batch by batch; without a bound this DuckDB would take what the store's own needs."""

_FORMAT = "v1.0.0"
"""The oldest release of DuckDB that can open the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A file that was written."""

    file: Path
    size_bytes: int
    rows: Mapping[str, int]
    """By table."""


def export_duckdb(store: Store, file: Path, *, force: bool = False, tell: Callable[[Step], None]) -> Exported:
    """Write `store` to `file`, which is there whole at the end or not at all; `tell` is called with each step.

    Raises QueryError where there is such a file already, unless `force`, or where it cannot be written.
    """
    _check(file, force=force)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{file.name}.", suffix=".tmp", dir=file.parent))
    except OSError as error:
        raise _cannot(file, error.strerror or str(error)) from error
    try:
        new = folder / "new.duckdb"
        rows = _patiently_filled(store, new, tell)
        size_bytes = new.stat().st_size
        _check(file, force=force)
        new.replace(file)
        sync_folder(file.parent)
    except OSError as error:
        raise _cannot(file, error.strerror or str(error)) from error
    except duckdb.Error as error:
        raise _cannot(file, str(error).split("\n", 1)[0].rstrip(".")) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Exported(file=file, size_bytes=size_bytes, rows=rows)


def _check(file: Path, *, force: bool) -> None:
    if file.exists() and not file.is_file():
        raise QueryError(f"{file}: is no file.", cure="Name a new one.")
    if file.exists() and not force:
        raise QueryError(f"{file}: is there already.", cure="Name another file, or replace it with --force.")


def _cannot(file: Path, why: str) -> QueryError:
    return QueryError(f"{file}: cannot be written ({why}).", cure="Name a file in a folder with room and the rights.")


def _patiently_filled(store: Store, new: Path, tell: Callable[[Step], None]) -> Mapping[str, int]:
    for _ in range(_BEGUN - 1):
        try:
            return _filled(store, new, tell)
        except FileGone:
            new.unlink(missing_ok=True)
    return _filled(store, new, tell)


def _filled(store: Store, new: Path, tell: Callable[[Step], None]) -> Mapping[str, int]:
    """Fill the file `new`; how many rows each of its tables has."""
    entries = catalogue()
    views = [entry for entry in entries if entry.kind == "view"]
    settings: dict[str, str | bool | int | float | list[str]] = {
        "storage_compatibility_version": _FORMAT,
        "memory_limit": _MEMORY,
        "temp_directory": str(new.with_name("spilled")),
    }
    rows: dict[str, int] = {}
    with duckdb.connect(str(new), config=settings) as target, store.held():
        for done, view in enumerate(views):
            count = 0
            target.begin()  # one for all batches: each commit waits for the disk
            for count in _copy(store, target, view):
                tell(Step(what=f"{view.name}, {count:,} rows", done=done, total=len(views)))
            target.commit()
            rows[view.name] = count
        target.begin()
        create_macros(target)
        for entry in entries:
            _comment(target, entry)
        target.commit()
        # Closing would write it out as well, and keep to itself that there is no room.
        target.execute("CHECKPOINT")
    return rows


def _copy(store: Store, target: duckdb.DuckDBPyConnection, view: Entry) -> Iterator[int]:
    """Make the table of `view` in `target`; how many rows it has so far, after each batch."""
    schema, batches = store.batches(f'FROM "{view.name}"', rows=_ROWS.get(view.name))
    _put(target, f'CREATE TABLE "{view.name}" AS FROM arriving', schema.empty_table())
    count = 0
    for batch in batches:
        _put(target, f'INSERT INTO "{view.name}" FROM arriving', pa.Table.from_batches([batch]))
        count += batch.num_rows
        yield count


def _put(target: duckdb.DuckDBPyConnection, statement: str, arriving: pa.Table) -> None:
    target.register("arriving", arriving)
    target.execute(statement)
    target.unregister("arriving")


def _comment(target: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    kind = {"view": "TABLE", "macro": "MACRO", "table macro": "MACRO TABLE"}[entry.kind]
    target.execute(f'COMMENT ON {kind} "{entry.name}" IS {quoted(entry.meaning)}')
    if entry.kind == "view":
        for column in entry.columns:
            text = f"{column.unit}: {column.meaning}" if column.unit else column.meaning
            target.execute(f'COMMENT ON COLUMN "{entry.name}"."{column.name}" IS {quoted(text)}')
