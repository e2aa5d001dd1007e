"""Export of a store to one DuckDB file, which any client of DuckDB opens without Joulefleet.

Each view becomes a table of the same name and rows, with units and meanings as comments; the macros are
copied too. The file is a copy of one moment. The store stays authoritative, and the file can be made again.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from joulefleet.durable import rename_durably
from joulefleet.errors import QueryError
from joulefleet.query.catalog import Entry, catalogue
from joulefleet.query.store import Store
from joulefleet.query.views import create_macros
from joulefleet.store.compaction import Step
from joulefleet.store.scan import quoted
from joulefleet.store.snapshot import FileGone

_MOST_TRIES = 3
"""Number of times the copy is started where attempts are compacted meanwhile."""

_BATCH_ROWS = {"attempts": 100}
"""Rows that are copied at once from a view whose rows are large: here megabytes of readings each."""

_MEMORY = "1GB"
"""Memory limit of the DuckDB that writes, batch by batch; the store's own DuckDB needs the rest."""

_FORMAT = "v1.0.0"
"""Oldest release of DuckDB that can open the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """Result of an export."""

    file: Path
    size_bytes: int
    rows: Mapping[str, int]
    """Number of rows by table."""


def export_duckdb(store: Store, file: Path, *, force: bool = False, on_step: Callable[[Step], None]) -> Exported:
    """Write `store` to `file`, completely or not at all; `on_step` is called after each batch.

    Raises QueryError where `file` exists, unless `force`, or cannot be written.
    """
    _check(file, force=force)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{file.name}.", suffix=".tmp", dir=file.parent))
    except OSError as error:
        raise _cannot(file, error.strerror or str(error)) from error
    try:
        new = folder / "new.duckdb"
        rows = _copy_store(store, new, on_step)
        size_bytes = new.stat().st_size
        _check(file, force=force)
        rename_durably(new, file)
    except OSError as error:
        raise _cannot(file, error.strerror or str(error)) from error
    except duckdb.Error as error:
        raise _cannot(file, str(error).split("\n", 1)[0].rstrip(".")) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Exported(file=file, size_bytes=size_bytes, rows=rows)


def _check(file: Path, *, force: bool) -> None:
    if file.exists() and not file.is_file():
        raise QueryError(f"{file}: not a regular file.", cure="Name a new one.")
    if file.exists() and not force:
        raise QueryError(f"{file}: exists already.", cure="Name another file, or replace it with --force.")


def _cannot(file: Path, why: str) -> QueryError:
    return QueryError(
        f"{file}: cannot be written ({why}).",
        cure="Name a file in a folder that has free space and in which you may write.",
    )


def _copy_store(store: Store, new: Path, on_step: Callable[[Step], None]) -> Mapping[str, int]:
    for _ in range(_MOST_TRIES - 1):
        try:
            return _copy_once(store, new, on_step)
        except FileGone:
            new.unlink(missing_ok=True)
    return _copy_once(store, new, on_step)


def _copy_once(store: Store, new: Path, on_step: Callable[[Step], None]) -> Mapping[str, int]:
    """Copy `store` to the file `new`. Returns the number of rows by table; raises FileGone."""
    entries = catalogue()
    views = [entry for entry in entries if entry.kind == "view"]
    settings: dict[str, str | bool | int | float | list[str]] = {
        "storage_compatibility_version": _FORMAT,
        "memory_limit": _MEMORY,
        "temp_directory": str(new.with_name("spilled")),
    }
    rows: dict[str, int] = {}
    with duckdb.connect(str(new), config=settings) as target, store.pinned():
        for done, view in enumerate(views):
            count = 0
            target.begin()  # one transaction for all batches, as each commit waits for the disk
            for count in _copy_view(store, target, view):
                on_step(Step(what=f"{view.name}, {count:,} rows", done=done, total=len(views)))
            target.commit()
            rows[view.name] = count
        target.begin()
        create_macros(target)
        for entry in entries:
            _comment(target, entry)
        target.commit()
        # Closing writes the file as well, but raises no error where the disk is full.
        target.execute("CHECKPOINT")
    return rows


def _copy_view(store: Store, target: duckdb.DuckDBPyConnection, view: Entry) -> Iterator[int]:
    """Copy `view` to a table of `target`. Yields the number of rows copied so far after each batch."""
    schema, batches = store.batches(f'FROM "{view.name}"', rows=_BATCH_ROWS.get(view.name))
    _execute_with(target, f'CREATE TABLE "{view.name}" AS FROM arriving', schema.empty_table())
    count = 0
    for batch in batches:
        _execute_with(target, f'INSERT INTO "{view.name}" FROM arriving', pa.Table.from_batches([batch]))
        count += batch.num_rows
        yield count


def _execute_with(target: duckdb.DuckDBPyConnection, statement: str, arriving: pa.Table) -> None:
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
