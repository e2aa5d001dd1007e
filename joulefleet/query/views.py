"""The views that a user queries, over the files of one store.

The schema `internal` holds what the views stand on; `main` holds what a user sees. Each view is one
file of queries/, which says in its first comment what a row is; each macro is one of macros/.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from joulefleet.errors import StoreError
from joulefleet.query.sql_files import sql_names, sql_text
from joulefleet.schema import ADDED_LATER, ATTEMPT_SCHEMA, SCHEMA_VERSION
from joulefleet.store.layout import StoreLayout, rows_since
from joulefleet.store.records import StudyRecord, comparands_table, studies_table
from joulefleet.store.snapshot import StoreFiles, file_error, file_gone

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
    return sql_text("views", name)


def parquet_folders(layout: StoreLayout) -> list[Path]:
    """The folders of `layout` that hold Parquet."""
    return [layout.attempts, layout.compacted, layout.verdicts]


def quoted(text: str) -> str:
    """`text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def glob_safe(path: str) -> str:
    """`path` as a pattern that only it matches."""
    return glob.escape(path)


def create_views(connection: duckdb.DuckDBPyConnection, studies: Sequence[StudyRecord]) -> None:
    """Create every view and macro in `connection`, without any rows: `point_views` gives them."""
    connection.execute("CREATE SCHEMA internal")
    for name, schema in (("loose", ATTEMPT_SCHEMA), ("compacted", ATTEMPT_SCHEMA), ("verdicts", _VERDICTS_SCHEMA)):
        _create_table(connection, f"no_{name}", schema.empty_table())
        _create_view(connection, f"internal.{name}", f"SELECT * FROM internal.no_{name}")  # noqa: S608 - ours
    _create_table(connection, "comparands", comparands_table(studies))
    _create_table(connection, "studies", studies_table(studies))
    _create_view(connection, "attempts", query_text("attempts"))
    _create_view(connection, "internal.accepted", query_text("accepted"))
    for name in VIEWS:
        if name != "attempts":
            _create_view(connection, name, query_text(name))
    create_macros(connection)


def create_macros(connection: duckdb.DuckDBPyConnection) -> None:
    """Create every macro in `connection`, over its views or over tables of the same names."""
    for name in sql_names("macros"):
        connection.execute(sql_text("macros", name))


def point_views(connection: duckdb.DuckDBPyConnection, layout: StoreLayout, files: StoreFiles) -> None:
    """Have the views of `connection` read `files`, and no others. Raises StoreError that names a foreign one."""
    mixed = has_older_rows(layout)
    _point(connection, "loose", files.loose, ATTEMPT_SCHEMA, rows_query(files.loose, mixed=mixed, loose=True))
    _point(connection, "compacted", files.compacted, ATTEMPT_SCHEMA, rows_query(files.compacted, mixed=mixed))
    listed = ", ".join(map(_pattern, files.verdicts))
    verdicts = f"SELECT * FROM read_parquet([{listed}])"  # noqa: S608 - quoted
    _point(connection, "verdicts", files.verdicts, _VERDICTS_SCHEMA, verdicts)


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
    listed = ", ".join(map(_pattern, files))
    read = f"read_parquet([{listed}], filename = true, union_by_name = {str(mixed).lower()})"
    if mixed:
        read = f"(SELECT * FROM internal.no_loose UNION ALL BY NAME SELECT * FROM {read})"  # noqa: S608 - quoted
    fault = _loose_fault() if loose else _version_fault()
    complaint = f"error({quoted(FILE_FAULT)} || filename || chr(31) || ({fault}))"
    return (
        f"SELECT {columns} FROM {read} "  # noqa: S608 - quoted
        f"WHERE CASE WHEN ({fault}) IS NULL THEN true ELSE {complaint} END"
    )


def _pattern(path: str) -> str:
    return quoted(glob_safe(path))


def _create_view(connection: duckdb.DuckDBPyConnection, name: str, query: str) -> None:
    connection.execute(f"CREATE VIEW {name} AS {query}")


def _create_table(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    connection.register("arriving", table)
    connection.execute(f"CREATE TABLE internal.{name} AS SELECT * FROM arriving")  # noqa: S608 - name is ours
    connection.unregister("arriving")


def _point(
    connection: duckdb.DuckDBPyConnection, name: str, files: Sequence[str], schema: pa.Schema, query: str
) -> None:
    """Make internal.<name> what `query` gives, or an empty table of the same types without files."""
    if not files:
        query = f"SELECT * FROM internal.no_{name}"  # noqa: S608 - name is ours
    try:
        connection.execute(f"CREATE OR REPLACE VIEW internal.{name} AS {query}")
    except duckdb.Error as error:
        gone = next((path for path in files if not Path(path).exists()), None)
        if gone:
            raise file_gone(gone) from error
        raise foreign_file(files, schema) or StoreError(
            f"{Path(files[0]).parent}: its files cannot be read ({str(error).splitlines()[0]}).",
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
