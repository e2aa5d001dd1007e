"""The views that a user queries, over the files of one store.

The schema `internal` holds what the views stand on; `main` holds what a user sees. Each view is one
file of queries/, which says in its first comment what a row is.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from joulefleet.analysis.study_records import StudyRecord, comparands_table, studies_table
from joulefleet.errors import StoreError
from joulefleet.schema import ADDED_IN_2, ATTEMPT_SCHEMA, SCHEMA_VERSION
from joulefleet.store_layout import StoreLayout, rows_since

VIEWS = (
    "trials",
    "attempts",
    "pairs",
    "energy",
    "readings",
    "latencies",
    "machines",
    "environments",
    "studies",
    "verdicts",
)

FILE_FAULT = "joulefleet-file-fault\x1f"
"""Begins the error that a view raises of one file: then the file, the same separator, and what is wrong."""

_VERDICTS_SCHEMA = pa.schema(
    [
        ("attempt_id", pa.string()),
        ("verdict", pa.string()),
        ("reason", pa.string()),
        ("decided_at", pa.timestamp("us", tz="UTC")),
    ]
)


def query_text(name: str) -> str:
    """The text of queries/<name>.sql."""
    return (resources.files("joulefleet.analysis") / "queries" / f"{name}.sql").read_text(encoding="utf-8")


def parquet_folders(layout: StoreLayout) -> list[Path]:
    """The folders of `layout` that hold Parquet."""
    return [layout.attempts, layout.root / "compacted", layout.verdicts]


def quoted(text: str) -> str:
    """`text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def glob_safe(path: str) -> str:
    """`path` as a pattern that only it matches."""
    return glob.escape(path)


def create_views(connection: duckdb.DuckDBPyConnection, layout: StoreLayout, studies: Sequence[StudyRecord]) -> None:
    """Create every view in `connection`. Raises StoreError that names a file which is not the store's."""
    connection.execute("CREATE SCHEMA internal")
    loose, compacted, verdicts = parquet_folders(layout)
    mixed = rows_since(layout) < SCHEMA_VERSION
    _create_rows(connection, "loose", loose, ATTEMPT_SCHEMA, _loose_fault(), mixed=mixed)
    _create_rows(connection, "compacted", compacted, ATTEMPT_SCHEMA, _version_fault(), mixed=mixed)
    _create_rows(connection, "verdicts", verdicts, _VERDICTS_SCHEMA, "NULL", mixed=False)
    _create_table(connection, "comparands", comparands_table(studies))
    _create_table(connection, "studies", studies_table(studies))
    _create_view(connection, "attempts", query_text("attempts"))
    _create_view(connection, "internal.accepted", query_text("accepted"))
    for name in VIEWS:
        if name != "attempts":
            _create_view(connection, name, query_text(name))


def _create_view(connection: duckdb.DuckDBPyConnection, name: str, query: str) -> None:
    connection.execute(f"CREATE VIEW {name} AS {query}")


def _create_table(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    connection.register("arriving", table)
    connection.execute(f"CREATE TABLE internal.{name} AS SELECT * FROM arriving")  # noqa: S608 - name is ours
    connection.unregister("arriving")


def _create_rows(
    connection: duckdb.DuckDBPyConnection, name: str, folder: Path, schema: pa.Schema, fault: str, *, mixed: bool
) -> None:
    """Make internal.<name> the rows of `folder`'s files, or an empty table of their types without files.

    `mixed`: some files may be of an older version and lack columns, which then are null. Twice as slow.

    `fault` is an SQL expression over a row and its file: what is wrong with the file, or NULL. It is
    looked at in each query, so that it also meets files that arrive while the store is open.
    """
    if not any(_parquet_files(folder)):
        _create_table(connection, name, schema.empty_table())
        return
    pattern = quoted(f"{glob_safe(str(folder))}/*.parquet")
    columns = ", ".join(f'"{column}"' for column in schema.names)
    files = f"read_parquet({pattern}, filename = true, union_by_name = {str(mixed).lower()})"
    if mixed:
        _create_table(connection, f"{name}_columns", schema.empty_table())
        files = f"(SELECT * FROM internal.{name}_columns UNION ALL BY NAME SELECT * FROM {files})"  # noqa: S608 - quoted
    complaint = f"error({quoted(FILE_FAULT)} || filename || chr(31) || ({fault}))"
    try:
        connection.execute(
            f"CREATE VIEW internal.{name} AS SELECT {columns} FROM {files} "  # noqa: S608 - quoted
            f"WHERE CASE WHEN ({fault}) IS NULL THEN true ELSE {complaint} END"
        )
    except duckdb.Error as error:
        raise foreign_file(folder, schema) or StoreError(
            f"{folder}: its files cannot be read ({str(error).splitlines()[0]}).",
            cure="Check the rights of the store.",
        ) from error


def _version_fault() -> str:
    return (
        f"CASE WHEN schema_version IS NULL OR schema_version < 1 THEN 'no attempt of Joulefleet' "
        f"WHEN schema_version > {SCHEMA_VERSION} THEN 'written by a newer Joulefleet' END"
    )


def _loose_fault() -> str:
    # An attempt's file is named for it, so a copy under another name would count the attempt twice.
    named = "parse_filename(filename, true) IS NOT DISTINCT FROM attempt_id"
    return f"coalesce({_version_fault()}, CASE WHEN NOT ({named}) THEN 'not named for the attempt it holds' END)"


def _parquet_files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.name.endswith(".parquet"))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror}.", cure="Check the rights of the store.") from error


def foreign_file(folder: Path, schema: pa.Schema) -> StoreError | None:
    """The error that names the first file of `folder` which is torn or lacks columns that every version has."""
    for path in _parquet_files(folder):
        try:
            missing = set(schema.names) - ADDED_IN_2 - set(pq.read_schema(path).names)
        except (pa.ArrowException, OSError):
            return file_error(path, "torn, or no Parquet at all")
        if missing:
            return file_error(path, f"no file of this store (it has no column {min(missing)})")
    return None


def file_error(path: Path | str, what: str) -> StoreError:
    """The error that names the file at `path`."""
    if "newer" in what:
        return StoreError(f"{path}: {what}.", cure="Install a newer Joulefleet.")
    return StoreError(f"{path}: {what}.", cure="Move it out of the store, or restore it from a copy.")
