"""Titles, heads and names of rows."""

from __future__ import annotations

from coordinator.cli.render.format import (
    WIDTH,
    interval_head,
    metric_title,
    row_head,
    row_name,
    setting_lines,
    table_key,
    wrapped,
)
from joulefleet.compare.results import Setting
from tests.support.comparison_records import MODELLED, PACKAGE

SETTING = Setting(study="one", machine_id="m1", task="sst2", batch_size=8, threads_requested=0, regime="burst")


def test_rows_of_a_table_differ_in_task_and_model_only() -> None:
    """A row of another batch size is in another table."""
    other_task = Setting(study="one", machine_id="m1", task="mnli", batch_size=8, threads_requested=0, regime="burst")
    assert table_key("p", SETTING) == table_key("p", other_task)
    assert table_key("p", SETTING) != table_key("q", SETTING)
    assert table_key("p", SETTING) != table_key("p", Setting(study="one", machine_id="m1", task="sst2"))


def test_rows_are_named_by_what_is_not_compared() -> None:
    """A model is named where other factors are compared."""
    model = Setting(study="one", task="sst2", model="bert")
    assert (row_head(SETTING), row_name(SETTING)) == ("task", "sst2")
    assert (row_head(model), row_name(model)) == ("model task", "bert sst2")


def test_the_line_below_a_title_has_what_both_arms_share() -> None:
    """The machine has its name, and 0 threads are one for every CPU."""
    assert setting_lines(SETTING, "left") == ["  one · left · batch 8 · all threads · burst"]
    assert setting_lines(Setting(study="one", threads_requested=4)) == ["  one · 4 threads"]


def test_energy_has_its_basis_in_the_title() -> None:
    """Other metrics have a short title."""
    assert metric_title("energy per item", PACKAGE) == "energy per item, package"
    assert metric_title("energy per item", MODELLED) == "energy per item, modelled"
    assert metric_title("CPU use (100 % = one core)", None) == "CPU use"
    assert interval_head(0.975) == "97.5 % interval"


def test_long_text_is_wrapped_below_its_prefix() -> None:
    """Control characters are escaped, and empty text keeps its prefix."""
    lines = wrapped("! ", "word " * 50 + "\x1b")
    assert max(map(len, lines)) <= WIDTH
    assert lines[0].startswith("! word")
    assert all(line.startswith("  word") for line in lines[1:])
    assert lines[-1].endswith("\\x1b")
    assert wrapped("- ", "") == ["- "]
