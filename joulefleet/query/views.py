"""The views that a user queries, over the files of one store.

The schema `internal` holds what the views stand on; `main` holds what a user sees. Each view is one
file of queries/, which says in its first comment what a row is; each macro is one of macros/.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from joulefleet.errors import StoreError
from joulefleet.query.sql_files import sql_names, sql_text
from joulefleet.schema import ATTEMPT_SCHEMA
from joulefleet.store.layout import StoreLayout
from joulefleet.store.records import StudyRecord, comparands_table, studies_table
from joulefleet.store.scan import foreign_file, has_older_rows, path_pattern, rows_query
from joulefleet.store.snapshot import StoreFiles, file_gone

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
    listed = ", ".join(map(path_pattern, files.verdicts))
    verdicts = f"SELECT * FROM read_parquet([{listed}])"  # noqa: S608 - quoted
    _point(connection, "verdicts", files.verdicts, _VERDICTS_SCHEMA, verdicts)


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
