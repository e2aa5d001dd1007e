"""The interactive SQL shell, with typed lines in a list."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.cli.shell.repl import interact
from joulefleet.query import Store
from tests.support.attempt_rows import attempt_row, write_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store of one trial."""
    with Store.open(write_store(tmp_path / "s", [attempt_row()])) as opened:
        yield opened


def conversation(store: Store, *lines: str | type[BaseException]) -> tuple[str, str]:
    """Return what is written to output and notes when the user types `lines`, then Ctrl-D."""
    out, notes = io.StringIO(), io.StringIO()
    left = list(lines)

    def read(_prompt: str) -> str:
        if not left:
            raise EOFError
        line = left.pop(0)
        if isinstance(line, str):
            return line
        raise line

    interact(store, read, out, notes)
    return out.getvalue(), notes.getvalue()


def test_a_query_ends_with_a_semicolon_or_an_empty_line(store: Store) -> None:
    """A query may span several lines."""
    out, _ = conversation(store, "select 1", " as one;", "select 2 as two", "")
    assert out.split() == ["one", "1", "two", "2"]


def test_error_does_not_end_the_session(store: Store) -> None:
    """The error is one line, and the next query is answered."""
    out, notes = conversation(store, "select nothing from trials;", "select 3 as three;")
    assert 'column "nothing" not found' in notes
    assert out.split() == ["three", "3"]


def test_ctrl_c_discards_the_line(store: Store) -> None:
    """An unfinished query is not run."""
    out, _ = conversation(store, "select 1", KeyboardInterrupt, "select 4 as four;")
    assert out.split() == ["four", "4"]


def test_commands_with_a_dot(store: Store) -> None:
    """The shell has commands of its own beside SQL; an unknown one is named."""
    out, notes = conversation(store, ".tables", ".help", ".what", ".quit", "select 5 as five;")
    assert "trials" in out.split()
    assert "five" not in out
    assert ".quit             leave" in notes
    assert ".what: unknown command" in notes


def test_views_and_examples_are_shown_by_name(store: Store) -> None:
    """A misspelt name is answered with an error and does not end the session."""
    out, notes = conversation(
        store, ".describe latencies", ".describe latency", ".examples", ".example pareto", ".example x", ".describe"
    )
    assert "Duration of the batch." in out
    assert "no view or macro called 'latency'. Did you mean" in notes
    assert "Which models does no other model beat" in out
    assert "FROM pareto_front()" in notes
    assert "s_per_item" in out
    assert "no example called 'x'" in notes
    assert ".describe needs a name" in notes


def test_a_line_that_begins_with_a_dot_may_be_part_of_a_query(store: Store) -> None:
    """Only the first line of an entry can be a command."""
    out, _ = conversation(store, "select 1 +", ".5 as half;")
    assert out.split() == ["half", "1.5"]
