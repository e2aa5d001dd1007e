"""Accept only queries that read, and turn DuckDB's errors into one line with a cure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa

from joulefleet.errors import JoulefleetError, QueryError
from joulefleet.store.scan import file_fault

Params = Sequence[Any] | Mapping[str, Any] | None

_EXPLAIN = re.compile(r"\s*explain(\s+analyze\b)?", re.IGNORECASE)
_ERROR_CLASS = re.compile(r"^[A-Za-z ]+ Error: ")
_ADVICE = re.compile(r"^(?:Did you mean|Candidate \w+:|Perhaps you)\s*(?P<names>.*?)\??$", re.MULTILINE)
_HELP = "`show tables` lists the views, `describe trials` the columns of one."


def check_query(connection: duckdb.DuckDBPyConnection, query: str, params: Params) -> None:
    """Accept one SELECT (or WITH, FROM, DESCRIBE, SUMMARIZE, PIVOT), or an EXPLAIN of one.

    Raises QueryError for everything else. The type of a statement is not enough: a SELECT may contain
    a COPY or an INSERT in its WITH clause. DuckDB allows those at the top level only, so the query is
    planned as a subquery as well, where DuckDB refuses them.
    """
    with plain_errors():
        statements = connection.extract_statements(query)
    kinds = [_statement_type(statement) for statement in statements]
    if not kinds:
        raise QueryError("The query is empty.", cure="Try `select * from trials`.")
    if len(kinds) > 1:
        raise QueryError(f"{len(kinds)} statements at once.", cure="Run one at a time.")
    if kinds[0] == duckdb.StatementType.EXPLAIN:
        check_query(connection, _explained(query), params)
        return
    if kinds[0] not in (duckdb.StatementType.SELECT, duckdb.StatementType.MULTI):
        raise _only_reads()
    alone = statements[0].query.strip().rstrip(";")
    with plain_errors():
        # A user's query is text, and to run it is what the user asks for.
        connection.sql(f"EXPLAIN SELECT * FROM (\n{alone}\n)", params=params).fetchall()  # noqa: S608 - see above


def _statement_type(statement: duckdb.Statement) -> duckdb.StatementType | None:
    """Return the type of `statement`; None for a type that DuckDB's Python client does not know."""
    try:
        return statement.type
    except ValueError:
        return None


def _explained(query: str) -> str:
    start = _EXPLAIN.match(query)
    if start is None:
        raise _only_reads()
    return query[start.end() :]


def _only_reads() -> QueryError:
    return QueryError("This statement is not a query. A store can only be read.", cure="Use SELECT.")


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn an error of DuckDB into a QueryError, or into a StoreError where a file of the store is at fault."""
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        # While rows are streamed, Arrow wraps DuckDB's errors in its own.
        raise _plain(error) from error


def _plain(error: duckdb.Error | pa.ArrowException | OSError) -> JoulefleetError:
    message = str(error)
    if (fault := file_fault(error)) is not None:
        return fault
    first = _ERROR_CLASS.sub("", message.split("\n", 1)[0]).rstrip("!. ")
    if isinstance(error, duckdb.OutOfMemoryException):
        return QueryError(f"SQL: {first}.", cure="Select fewer columns, or add a filter.")
    if "top level" in first:
        return _only_reads()
    if isinstance(error, duckdb.PermissionException):
        return QueryError(f"SQL: {first}.", cure="A query reads the store and nothing else.")
    advice = _ADVICE.search(message)
    return QueryError(f"SQL: {first}.", cure=f"Did you mean {advice['names']}?" if advice else _HELP)
