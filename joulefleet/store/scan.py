"""Scan the Parquet files of a store with DuckDB: the query of their rows, and the errors that name a file at fault."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from joulefleet.errors import StoreError
from joulefleet.schema import ATTEMPT_SCHEMA
from joulefleet.store.layout import other_version
from joulefleet.store.snapshot import file_error, file_gone
from joulefleet.versions import SCHEMA_VERSION

_FILE_FAULT = "joulefleet-file-fault\x1f"
"""Prefix of the SQL error of a row that must not be there; the path of its file follows, then the same separator."""

_FILE = re.compile(r"""["'](?P<path>/.*?\.parquet)["']""", re.DOTALL)


def quoted(text: str) -> str:
    """Return `text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def glob_safe(path: str) -> str:
    """Return `path` as a pattern that matches only it."""
    return glob.escape(path)


def path_pattern(path: str) -> str:
    """Return `path` as an SQL string with a pattern that matches only it."""
    return quoted(glob_safe(path))


def rows_query(files: Sequence[str], *, loose: bool = False) -> str:
    """Return the query for the rows in `files`, in their order; it fails where a file is at fault.

    A file is at fault where its rows have another schema version. With `loose`, each file holds one
    attempt, and is at fault where it is not named by that attempt: a copy under another name would count
    the attempt twice. Every query checks this again, as files may arrive while the store is open.
    """
    columns = ", ".join(f'"{column}"' for column in ATTEMPT_SCHEMA.names)
    listed = ", ".join(map(path_pattern, files))
    sound = f"schema_version = {SCHEMA_VERSION}"
    if loose:
        sound += " AND parse_filename(filename, true) = attempt_id"
    return (
        f"SELECT {columns} FROM read_parquet([{listed}], filename = true) "  # noqa: S608 - paths are quoted
        f"WHERE CASE WHEN {sound} THEN true ELSE error({quoted(_FILE_FAULT)} || filename || chr(31)) END"
    )


def file_problem(path: str) -> StoreError | None:
    """Open the file at `path` and return the error that says why it is no file of attempts; None where it is one."""
    try:
        missing = set(ATTEMPT_SCHEMA.names) - set(pq.read_schema(path).names)
        if "schema_version" not in missing:
            versions = set(pq.ParquetFile(path).read(columns=["schema_version"]).column(0).to_pylist())
            if other := versions - {SCHEMA_VERSION}:
                return other_version(path, other.pop())
    except FileNotFoundError:
        return file_gone(path)
    except (pa.ArrowException, OSError):
        return file_error(path, "torn, or no Parquet at all")
    return file_error(path, f"no file of this store (it has no column {min(missing)})") if missing else None


def file_fault(error: duckdb.Error | pa.ArrowException | OSError) -> StoreError | None:
    """Return the StoreError that names the file which caused `error`; None where no file did."""
    message = str(error)
    if _FILE_FAULT in message:
        path = message.split(_FILE_FAULT, 1)[1].partition("\x1f")[0]
        return file_problem(path) or file_error(path, "not named for the attempt it holds")
    file = _FILE.search(message)
    streamed = isinstance(error, pa.ArrowException | OSError)
    if file and (streamed or isinstance(error, duckdb.IOException | duckdb.InvalidInputException)):
        return file_problem(file["path"]) or file_error(file["path"], "torn, or no file of this store")
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
