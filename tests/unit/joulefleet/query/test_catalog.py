"""The catalogue of views and macros."""

from __future__ import annotations

from pathlib import Path

import pytest

from joulefleet.errors import QueryError
from joulefleet.query.catalog import Entry, catalogue, entry
from joulefleet.query.column_docs import _BY_VIEW, meaning_of
from joulefleet.query.reference import views_text
from joulefleet.query.shipped_sql import sql_names, sql_text
from joulefleet.query.views import VIEWS
from joulefleet.schema import ATTEMPT_SCHEMA, COLUMNS

ENTRIES = {one.name: one for one in catalogue()}
REFERENCE = Path(__file__).parents[4] / "docs" / "reference" / "views.md"


def test_every_view_and_macro_is_described() -> None:
    """The catalogue contains no other entry."""
    assert set(ENTRIES) == {*VIEWS, *sql_names("macros")}
    assert all(one.meaning.endswith(".") for one in ENTRIES.values())


@pytest.mark.parametrize("one", ENTRIES.values(), ids=lambda one: one.name)
def test_every_column_is_described_and_nothing_else_is(one: Entry) -> None:
    """A description of a column that does not exist would mislead."""
    columns = {column.name for column in one.columns}
    assert all(column.meaning for column in one.columns)
    assert _BY_VIEW.get(one.name, {}).keys() <= columns


def test_columns_of_an_attempt_mean_what_the_schema_says() -> None:
    """A view has a description of its own only where a column means something else in it."""
    attempts = ENTRIES["attempts"]
    assert [(c.name, c.unit, c.meaning) for c in attempts.columns] == [(c.name, c.unit, c.meaning) for c in COLUMNS]
    repeated = {
        (view, column)
        for view in ENTRIES
        for column in _BY_VIEW.get(view, {}).keys() & set(ATTEMPT_SCHEMA.names)
        if meaning_of(view, column) == meaning_of("attempts", column)
    }
    assert repeated == set()


def test_macros_show_their_parameters() -> None:
    """The defaults are shown too."""
    assert ENTRIES["pareto_front"].call == "pareto_front(of_study := NULL, modelled := false)"
    assert ENTRIES["wh_per_1000_items"].call == "wh_per_1000_items(joules, items)"
    assert ENTRIES["wh_per_1000_items"].columns == ()


def test_each_sql_file_of_a_macro_is_named_by_the_macro() -> None:
    """It begins with a comment that says what the macro returns."""
    for name in sql_names("macros"):
        assert sql_text("macros", name).startswith("-- ")
        assert f"\nCREATE MACRO {name}(" in sql_text("macros", name)


def test_a_misspelt_name_is_answered_with_the_closest_one() -> None:
    """Where no name is close, the error lists all of them."""
    assert entry("TRIALS").name == "trials"
    with pytest.raises(QueryError, match=r"Did you mean trials\?"):
        entry("trialz")
    with pytest.raises(QueryError, match="There are trials, attempts"):
        entry("x\n'\"")


def test_the_reference_is_up_to_date() -> None:
    """It is generated: `python -m joulefleet.query.reference > docs/reference/views.md`."""
    cure = "run: .venv/bin/python -m joulefleet.query.reference > docs/reference/views.md"
    assert REFERENCE.read_text(encoding="utf-8") == views_text(), cure
