"""The catalogue of views and macros: each with its columns, and each column with type, unit and meaning.

The types are those that DuckDB reports. The meanings of columns come from `joulefleet.schema` and
`joulefleet.query.column_docs`, the meaning of a view or macro from the first comment in its SQL file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import duckdb

from joulefleet.errors import QueryError, closest_or
from joulefleet.query.column_docs import meaning_of
from joulefleet.query.shipped_sql import first_comment, sql_names, sql_text
from joulefleet.query.views import VIEWS, create_views

_CREATE_MACRO = re.compile(r"^CREATE MACRO (?P<call>.*) AS(?P<table> TABLE)?$", re.MULTILINE)

EntryKind = Literal["view", "macro", "table macro"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnEntry:
    """One column of a view or table macro."""

    name: str
    type: str
    """Type in DuckDB."""
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One view or macro."""

    name: str
    kind: EntryKind
    call: str
    """Name as written in a query; of a macro with its parameters and their defaults."""
    meaning: str
    columns: tuple[ColumnEntry, ...]
    """Empty for a macro that returns a single value."""


def catalogue() -> tuple[Entry, ...]:
    """Return every view, then every macro. No store is needed."""
    connection = duckdb.connect(":memory:")
    try:
        create_views(connection, ())
        return (*_views(connection), *_macros(connection))
    finally:
        connection.close()


def entry(name: str) -> Entry:
    """Return the view or macro called `name`, in upper or lower case. Raises QueryError where there is none."""
    by_name = {one.name: one for one in catalogue()}
    if name.lower() not in by_name:
        cure = closest_or(name.lower(), by_name, f"There are {', '.join(by_name)}.")
        raise QueryError(f"There is no view or macro called {name!r}.", cure=cure)
    return by_name[name.lower()]


def keywords() -> tuple[str, ...]:
    """Return the keywords of DuckDB's SQL that occur in queries."""
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
        created = _CREATE_MACRO.search(text)
        assert created is not None, f"macros/{name}.sql creates no macro"
        is_table = created["table"] is not None
        yield Entry(
            name=name,
            kind="table macro" if is_table else "macro",
            call=created["call"],
            meaning=first_comment(text),
            columns=_columns(connection, name, f"{name}()") if is_table else (),
        )


def _columns(connection: duckdb.DuckDBPyConnection, name: str, source: str) -> tuple[ColumnEntry, ...]:
    described = connection.execute(f"DESCRIBE FROM {source}").fetchall()
    return tuple(
        ColumnEntry(
            name=column, type=kind, unit=meaning_of(name, column).unit, meaning=meaning_of(name, column).meaning
        )
        for column, kind, *_ in described
    )
