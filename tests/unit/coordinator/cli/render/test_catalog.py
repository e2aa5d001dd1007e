"""Views, macros and shipped queries as tables and as results."""

from __future__ import annotations

import io

from coordinator.cli.render.catalog import catalogue_result, examples_result, write_catalogue, write_examples
from joulefleet.query.catalog import catalogue, entry
from joulefleet.query.shipped_sql import examples


def test_an_entry_is_its_call_its_meaning_and_its_columns() -> None:
    """An empty line separates two entries."""
    out = io.StringIO()
    write_catalogue([entry("latencies"), entry("pairs")], out)
    first, second = out.getvalue().split("\n\n")
    assert first.splitlines()[0] == "latencies"
    assert first.splitlines()[1].startswith("  ")
    assert first.splitlines()[-1].split()[:3] == ["latency_s", "DOUBLE", "s"]
    assert second.splitlines()[0] == "pairs"


def test_the_fields_of_nested_types_are_left_out_for_people_only() -> None:
    """They are too long for a line, and programs need them."""
    out = io.StringIO()
    write_catalogue(catalogue(), out)
    assert "STRUCT(…)" in out.getvalue()
    assert max(len(line.split("  ")[1]) for line in out.getvalue().splitlines() if "STRUCT" in line) < 40
    _, batches = catalogue_result(catalogue())
    types = [row["type"] for batch in batches for row in batch.to_pylist() if row["type"]]
    assert any("STRUCT(" in kind and "…" not in kind for kind in types)


def test_a_result_has_a_row_for_each_entry_and_each_column() -> None:
    """The row of the entry itself has no column."""
    latencies = entry("latencies")
    schema, batches = catalogue_result([latencies])
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert schema.names == ["name", "kind", "column", "type", "unit", "meaning"]
    assert [row["column"] for row in rows] == [None, *(column.name for column in latencies.columns)]


def test_examples_are_listed_with_their_questions() -> None:
    """The result also has their SQL."""
    out = io.StringIO()
    write_examples(examples(), out)
    _, batches = examples_result(examples())
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert len(out.getvalue().splitlines()) == 1 + len(rows) == 1 + len(examples())
    assert all(row["question"] in out.getvalue() and row["sql"].startswith("--") for row in rows)
