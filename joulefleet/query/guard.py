"""What may be asked of a store: one question that only reads; and what DuckDB says, in a line with a cure."""

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
_KIND = re.compile(r"^[A-Za-z ]+ Error: ")
_ADVICE = re.compile(r"^(?:Did you mean|Candidate \w+:|Perhaps you)\s*(?P<names>.*?)\??$", re.MULTILINE)
_HELP = "`show tables` lists the views, `describe trials` the columns of one."


def check_question(connection: duckdb.DuckDBPyConnection, query: str, params: Params) -> None:
    """Let pass one SELECT (or WITH, FROM, DESCRIBE, SUMMARIZE, PIVOT), or an EXPLAIN of one.

    Raises QueryError for everything else. The type of a statement is not enough: a SELECT may carry
    a COPY or an INSERT in its WITH clause. DuckDB allows those at the top level alone, so the
    question is planned as a subquery as well, where it refuses them.
    """
    with plain_errors():
        statements = connection.extract_statements(query)
    kinds = [_kind(statement) for statement in statements]
    if not kinds:
        raise QueryError("The query is empty.", cure="Try `select * from trials`.")
    if len(kinds) > 1:
        raise QueryError(f"{len(kinds)} statements at once.", cure="Ask one at a time.")
    if kinds[0] == duckdb.StatementType.EXPLAIN:
        check_question(connection, _explained(query), params)
        return
    if kinds[0] not in (duckdb.StatementType.SELECT, duckdb.StatementType.MULTI):
        raise _only_reads()
    alone = statements[0].query.strip().rstrip(";")
    with plain_errors():
        # Text is all there is of a user's query, and running it is what they ask for.
        connection.sql(f"EXPLAIN SELECT * FROM (\n{alone}\n)", params=params).fetchall()  # noqa: S608 - see above


def _kind(statement: duckdb.Statement) -> duckdb.StatementType | None:
    """The type of `statement`; None of one that DuckDB understands and its Python client has no name for."""
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
    return QueryError("A store is only read: this statement is no question.", cure="Ask with SELECT.")


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn what DuckDB raises into a QueryError, or into a StoreError where a file of the store is at fault."""
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        # Arrow reports what DuckDB raises while it streams, as errors of its own.
        raise _plain(error) from error


def _plain(error: duckdb.Error | pa.ArrowException | OSError) -> JoulefleetError:
    message = str(error)
    if (fault := file_fault(error)) is not None:
        return fault
    first = _KIND.sub("", message.split("\n", 1)[0]).rstrip("!. ")
    if isinstance(error, duckdb.OutOfMemoryException):
        return QueryError(f"SQL: {first}.", cure="Ask for less at once: fewer columns, or a filter.")
    if "top level" in first:
        return _only_reads()
    if isinstance(error, duckdb.PermissionException):
        return QueryError(f"SQL: {first}.", cure="A query reads the store and nothing else.")
    advice = _ADVICE.search(message)
    return QueryError(f"SQL: {first}.", cure=f"Did you mean {advice['names']}?" if advice else _HELP)
