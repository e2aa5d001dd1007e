"""The views, macros and shipped queries of a store, as tables for people and as results for programs."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

import pyarrow as pa

from coordinator.cli.render.query_result import StreamedResult, write_table
from joulefleet.query.catalog import Entry
from joulefleet.query.shipped_sql import Example

_WIDTH = 120
"""Longest line of a description, characters."""

_FIELDS = re.compile(r"\(.*\)", re.DOTALL)
"""The fields of a nested type."""


def write_catalogue(entries: Sequence[Entry], out: TextIO) -> None:
    """Write each of `entries` to `out`: how a query names it, its meaning, and its columns."""
    for number, entry in enumerate(entries):
        if number:
            out.write("\n")
        out.write(f"{entry.call}\n")
        out.writelines(f"  {line}\n" for line in textwrap.wrap(entry.meaning, _WIDTH - 2))
        if entry.columns:
            rows = [(column.name, _short(column.type), column.unit, column.meaning) for column in entry.columns]
            write_table(out, ("column", "type", "unit", "meaning"), rows)


def catalogue_result(entries: Sequence[Entry]) -> StreamedResult:
    """Return `entries` as a result: for each one row without a column, then one row a column."""
    return _result(("name", "kind", "column", "type", "unit", "meaning"), list(_rows(entries)))


def write_examples(examples: Sequence[Example], out: TextIO) -> None:
    """Write the name of each of `examples`, and the question that it answers, to `out`."""
    write_table(out, ("name", "question"), [(example.name, example.question) for example in examples])


def examples_result(examples: Sequence[Example]) -> StreamedResult:
    """Return `examples` as a result with the columns name, question and sql."""
    return _result(("name", "question", "sql"), [(example.name, example.question, example.sql) for example in examples])


def _rows(entries: Sequence[Entry]) -> Iterator[tuple[str | None, ...]]:
    for entry in entries:
        yield entry.call, entry.kind, None, None, None, entry.meaning
        for column in entry.columns:
            yield entry.name, entry.kind, column.name, column.type, column.unit or None, column.meaning


def _result(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> StreamedResult:
    schema = pa.schema([(name, pa.string()) for name in names])
    batch = pa.RecordBatch.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema=schema)
    return schema, iter([batch])


def _short(kind: str) -> str:
    """Return a type without its fields, which are too long for a line."""
    return _FIELDS.sub("(…)", kind)
