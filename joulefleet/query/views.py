"""The views and macros that a user queries, over the files of one store.

The SQL schema `internal` holds the tables and views that they read; `main` holds what a user sees. Each
view is one file of sql/views/, whose first comment says what a row is; each macro is one of sql/macros/.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from joulefleet.errors import StoreError
from joulefleet.query.shipped_sql import sql_names, sql_text
from joulefleet.schema import ATTEMPT_SCHEMA
from joulefleet.store.records import StudyRecord, comparands_table, studies_table
from joulefleet.store.scan import file_problem, rows_query
from joulefleet.store.snapshot import Snapshot, file_gone

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
)


def query_text(name: str) -> str:
    """Return the text of sql/views/<name>.sql."""
    return sql_text("views", name)


def create_views(connection: duckdb.DuckDBPyConnection, studies: Sequence[StudyRecord]) -> None:
    """Create every view and macro in `connection`, without attempts: `point_views` adds them."""
    connection.execute("CREATE SCHEMA internal")
    _create_table(connection, "no_attempts", ATTEMPT_SCHEMA.empty_table())
    point_views(connection, Snapshot(loose=(), compacted=()))
    _create_table(connection, "comparands", comparands_table(studies))
    _create_table(connection, "studies", studies_table(studies))
    _create_view(connection, "attempts", query_text("attempts"))
    _create_view(connection, "internal.accepted", query_text("accepted"))
    for name in VIEWS:
        if name != "attempts":
            _create_view(connection, name, query_text(name))
    create_macros(connection)


def create_macros(connection: duckdb.DuckDBPyConnection) -> None:
    """Create every macro in `connection`, which has the views or tables of the same names."""
    for name in sql_names("macros"):
        connection.execute(sql_text("macros", name))


def point_views(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> None:
    """Make the views of `connection` read the files of `snapshot` only. Raises StoreError that names a faulty file."""
    _point(connection, "loose", snapshot.loose, rows_query(snapshot.loose, loose=True))
    _point(connection, "compacted", snapshot.compacted, rows_query(snapshot.compacted))


def _create_view(connection: duckdb.DuckDBPyConnection, name: str, query: str) -> None:
    connection.execute(f"CREATE VIEW {name} AS {query}")


def _create_table(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    connection.register("arriving", table)
    connection.execute(f"CREATE TABLE internal.{name} AS SELECT * FROM arriving")  # noqa: S608 - a name of this module
    connection.unregister("arriving")


def _point(connection: duckdb.DuckDBPyConnection, name: str, files: Sequence[str], query: str) -> None:
    """Make internal.<name> the result of `query`, or an empty table of the same types where there are no files."""
    try:
        connection.execute(
            f"CREATE OR REPLACE VIEW internal.{name} AS {query if files else 'FROM internal.no_attempts'}"
        )
    except duckdb.Error as error:
        gone = next((path for path in files if not Path(path).exists()), None)
        if gone:
            raise file_gone(gone) from error
        raise next(filter(None, map(file_problem, files)), None) or StoreError(
            f"{Path(files[0]).parent}: its files cannot be read ({str(error).splitlines()[0]}).",
            cure="Check the rights of the store.",
        ) from error
