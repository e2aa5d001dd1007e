"""Which statements count as a query, and how errors of DuckDB are told."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from joulefleet.errors import QueryError, StoreError
from joulefleet.query.guard import check_query, plain_errors


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with one table."""
    connection = duckdb.connect()
    connection.execute("CREATE TABLE trials (model VARCHAR, window_s DOUBLE)")
    yield connection
    connection.close()


@pytest.mark.parametrize(
    "query",
    [
        "select * from trials",
        "from trials",
        "with t as (select 1) select * from t;",
        "describe trials",
        "summarize trials",
        "explain select * from trials",
        "explain analyze from trials",
    ],
)
def test_what_only_reads_is_a_query(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    """DuckDB has more forms of a query than SELECT."""
    check_query(connection, query, None)


@pytest.mark.parametrize(
    "query",
    [
        "drop table trials",
        "insert into trials values ('a', 1)",
        "copy trials to '/tmp/x.csv'",
        "attach '/tmp/x.duckdb'",
        "set memory_limit = '1GB'",
        "explain delete from trials",
        "with gone as (delete from trials returning *) select * from gone",
    ],
)
def test_everything_else_is_refused(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    """A statement that changes something may also hide in an EXPLAIN, or in the WITH clause of a SELECT."""
    with pytest.raises(QueryError):
        check_query(connection, query, None)
    assert connection.sql("select count(*) from trials").fetchall() == [(0,)]


def test_one_query_at_a_time(connection: duckdb.DuckDBPyConnection) -> None:
    """Neither none nor two."""
    with pytest.raises(QueryError, match="empty"):
        check_query(connection, " ; ", None)
    with pytest.raises(QueryError, match="2 statements"):
        check_query(connection, "from trials; from trials", None)


def test_a_misspelt_column_is_answered_with_the_nearest(connection: duckdb.DuckDBPyConnection) -> None:
    """In one line, with a cure."""
    with pytest.raises(QueryError, match="window_s") as caught:
        check_query(connection, "select windows_s from trials", None)
    assert len(caught.value.problems) == 1


def test_a_file_at_fault_is_an_error_of_the_store() -> None:
    """The error names the file, not the query."""
    with pytest.raises(StoreError, match=r"/s/attempts/a\.parquet"), plain_errors():
        raise duckdb.InvalidInputException("No magic bytes found at end of file '/s/attempts/a.parquet'")
