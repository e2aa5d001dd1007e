"""What can be asked, for people and for programs: views and macros column by column, and the shipped examples."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

import pyarrow as pa

from coordinator.cli.render.query_result import StreamedResult
from coordinator.cli.render.tables import write_table
from joulefleet.query.catalog import Entry
from joulefleet.query.shipped_sql import Example

_WIDTH = 120
_FIELDS = re.compile(r"\(.*\)", re.DOTALL)


def write_catalogue(entries: Sequence[Entry], out: TextIO) -> None:
    """Write each of `entries` to `out`: how it stands in a query, what it is, and its columns."""
    for number, entry in enumerate(entries):
        if number:
            out.write("\n")
        out.write(f"{entry.call}\n")
        out.writelines(f"  {line}\n" for line in textwrap.wrap(entry.meaning, _WIDTH - 2))
        if entry.columns:
            rows = [(column.name, _short(column.type), column.unit, column.meaning) for column in entry.columns]
            write_table(out, ("column", "type", "unit", "meaning"), rows)


def catalogue_answer(entries: Sequence[Entry]) -> StreamedResult:
    """`entries` as an answer: a row each, without a column, then a row each of its columns."""
    return _answer(("name", "kind", "column", "type", "unit", "meaning"), list(_rows(entries)))


def write_examples(examples: Sequence[Example], out: TextIO) -> None:
    """Write the names of `examples` to `out`, and what they ask."""
    write_table(out, ("name", "question"), [(example.name, example.question) for example in examples])


def examples_answer(examples: Sequence[Example]) -> StreamedResult:
    """`examples` as an answer."""
    return _answer(("name", "question", "sql"), [(example.name, example.question, example.sql) for example in examples])


def _rows(entries: Sequence[Entry]) -> Iterator[tuple[str | None, ...]]:
    for entry in entries:
        yield entry.call, entry.kind, None, None, None, entry.meaning
        for column in entry.columns:
            yield entry.name, entry.kind, column.name, column.type, column.unit or None, column.meaning


def _answer(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> StreamedResult:
    schema = pa.schema([(name, pa.string()) for name in names])
    batch = pa.RecordBatch.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema=schema)
    return schema, iter([batch])


def _short(kind: str) -> str:
    """The type without its fields, which no line has room for."""
    return _FIELDS.sub("(…)", kind)
