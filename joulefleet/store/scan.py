"""Scan the Parquet files of a store with DuckDB: the query of their rows, and the errors that name a file at fault."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from joulefleet.errors import StoreError
from joulefleet.schema import ADDED_LATER, ATTEMPT_SCHEMA
from joulefleet.store.layout import StoreLayout, rows_since
from joulefleet.store.snapshot import file_error, file_gone
from joulefleet.versions import SCHEMA_VERSION

_FILE_FAULT = "joulefleet-file-fault\x1f"
"""Prefix of the error that a scan raises of one file; behind it the file, the same separator, and what is wrong."""

_FILE = re.compile(r"""["'](?P<path>/.*?\.parquet)["']""", re.DOTALL)


def quoted(text: str) -> str:
    """`text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def glob_safe(path: str) -> str:
    """`path` as a pattern that only it matches."""
    return glob.escape(path)


def has_older_rows(layout: StoreLayout) -> bool:
    """Whether some files of `layout` may be of an older version and lack columns, which then are null."""
    return rows_since(layout) < SCHEMA_VERSION


def rows_query(files: Sequence[str], *, mixed: bool, loose: bool = False) -> str:
    """The query for the rows in `files`, in their order, that ends in an error where one is at fault.

    `mixed`: some may be of an older version and lack columns. That is twice as slow, and needs the
    table internal.no_loose. `loose`: each holds one attempt, and is named for it. Whether a file is
    at fault is looked at in each query, as files may arrive while the store is open.
    """
    columns = ", ".join(f'"{column}"' for column in ATTEMPT_SCHEMA.names)
    listed = ", ".join(map(path_pattern, files))
    read = f"read_parquet([{listed}], filename = true, union_by_name = {str(mixed).lower()})"
    if mixed:
        read = f"(SELECT * FROM internal.no_loose UNION ALL BY NAME SELECT * FROM {read})"  # noqa: S608 - quoted
    fault = _loose_fault() if loose else _version_fault()
    complaint = f"error({quoted(_FILE_FAULT)} || filename || chr(31) || ({fault}))"
    return (
        f"SELECT {columns} FROM {read} "  # noqa: S608 - quoted
        f"WHERE CASE WHEN ({fault}) IS NULL THEN true ELSE {complaint} END"
    )


def path_pattern(path: str) -> str:
    """Quote `path` as an SQL pattern that matches only it."""
    return quoted(glob_safe(path))


def _version_fault() -> str:
    return (
        f"CASE WHEN schema_version IS NULL OR schema_version < 1 THEN 'no attempt of Joulefleet' "
        f"WHEN schema_version > {SCHEMA_VERSION} THEN 'written by a newer Joulefleet' END"
    )


def _loose_fault() -> str:
    # An attempt's file is named for it, so a copy under another name would count the attempt twice.
    named = "parse_filename(filename, true) IS NOT DISTINCT FROM attempt_id"
    return f"coalesce({_version_fault()}, CASE WHEN NOT ({named}) THEN 'not named for the attempt it holds' END)"


def foreign_file(files: Sequence[str], schema: pa.Schema) -> StoreError | None:
    """The error that names the first of `files` which is torn or lacks columns that every version has."""
    for path in files:
        try:
            missing = set(schema.names) - ADDED_LATER - set(pq.read_schema(path).names)
        except (pa.ArrowException, OSError):
            return file_error(path, "torn, or no Parquet at all")
        if missing:
            return file_error(path, f"no file of this store (it has no column {min(missing)})")
    return None


def file_fault(error: duckdb.Error | pa.ArrowException | OSError) -> StoreError | None:
    """Return the StoreError that names the file which caused `error`; None where no file did."""
    message = str(error)
    if _FILE_FAULT in message:
        path, _, what = message.split(_FILE_FAULT, 1)[1].partition("\x1f")
        return file_error(path, what.splitlines()[0])
    file = _FILE.search(message)
    streamed = isinstance(error, pa.ArrowException | OSError)
    if file and (streamed or isinstance(error, duckdb.IOException | duckdb.InvalidInputException)):
        if not Path(file["path"]).exists():
            return file_gone(file["path"])
        return file_error(file["path"], "torn, or no file of this store")
    return None


@contextmanager
def scan_errors() -> Iterator[None]:
    """Turn what DuckDB raises during a scan into a StoreError, which names the file where one is at fault."""
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise file_fault(error) or StoreError(
            f"The store cannot be scanned: {str(error).splitlines()[0]}.",
            cure="Free memory and disk space, and run the same command again.",
        ) from error
