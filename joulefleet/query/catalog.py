"""What can be asked of any store: each view and macro, column by column, with type, unit and meaning.

Types come from DuckDB, so that nothing here can say another one; meanings come from
`joulefleet.schema` and `view_columns`, and those of the whole from the first comment of its SQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import duckdb

from joulefleet.errors import QueryError, closest_or
from joulefleet.query.column_docs import meaning_of
from joulefleet.query.sql_files import first_comment, sql_names, sql_text
from joulefleet.query.views import VIEWS, create_views

_MADE = re.compile(r"^CREATE MACRO (?P<call>.*) AS(?P<table> TABLE)?$", re.MULTILINE)

EntryKind = Literal["view", "macro", "table macro"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnEntry:
    """One column of a view or table macro."""

    name: str
    type: str
    """DuckDB's."""
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One view or macro."""

    name: str
    kind: EntryKind
    call: str
    """How it stands in a query: a macro with its parameters, and what they are where they are left out."""
    meaning: str
    columns: tuple[ColumnEntry, ...]
    """None of a macro that gives a single value."""


def catalogue() -> tuple[Entry, ...]:
    """Every view, then every macro. Needs no store."""
    connection = duckdb.connect(":memory:")
    try:
        create_views(connection, ())
        return (*_views(connection), *_macros(connection))
    finally:
        connection.close()


def entry(name: str) -> Entry:
    """The view or macro called `name`, as SQL takes it: in any case. Raises QueryError where there is none."""
    known = {one.name: one for one in catalogue()}
    if name.lower() not in known:
        cure = closest_or(name.lower(), known, f"There are {', '.join(known)}.")
        raise QueryError(f"There is no view or macro called {name!r}.", cure=cure)
    return known[name.lower()]


def keywords() -> tuple[str, ...]:
    """The words of DuckDB's SQL that questions are made of."""
    with duckdb.connect(":memory:") as connection:
        rows = connection.execute(
            "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category IN ('reserved', 'type_function') "
            "OR keyword_name IN ('between', 'by', 'coalesce', 'exclude', 'exists', 'explain', 'filter', 'nullif', "
            "'nulls', 'over', 'partition', 'replace', 'values')"
        ).fetchall()
    return tuple(word for (word,) in rows)


def _views(connection: duckdb.DuckDBPyConnection) -> Iterator[Entry]:
    for name in VIEWS:
        meaning = first_comment(sql_text("views", name))
        yield Entry(name=name, kind="view", call=name, meaning=meaning, columns=_columns(connection, name, name))


def _macros(connection: duckdb.DuckDBPyConnection) -> Iterator[Entry]:
    for name in sql_names("macros"):
        text = sql_text("macros", name)
        made = _MADE.search(text)
        assert made is not None, f"macros/{name}.sql makes no macro"
        of_table = made["table"] is not None
        yield Entry(
            name=name,
            kind="table macro" if of_table else "macro",
            call=made["call"],
            meaning=first_comment(text),
            columns=_columns(connection, name, f"{name}()") if of_table else (),
        )


def _columns(connection: duckdb.DuckDBPyConnection, name: str, source: str) -> tuple[ColumnEntry, ...]:
    described = connection.execute(f"DESCRIBE FROM {source}").fetchall()
    return tuple(
        ColumnEntry(
            name=column, type=kind, unit=meaning_of(name, column).unit, meaning=meaning_of(name, column).meaning
        )
        for column, kind, *_ in described
    )
