"""Problems of the data to import."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.importing.problems import MAX_SHOWN, ImportProblems, quoted
from joulefleet.errors import StudyError


def test_no_problem_raises_nothing() -> None:
    """An import goes on."""
    ImportProblems().raise_if_any()


def test_all_problems_are_raised_together_and_each_once() -> None:
    """The user fixes them in one go."""
    problems = ImportProblems()
    problems.add(Path("a.csv"), "empty.")
    problems.add(Path("b.csv"), "no number.", line=3)
    problems.add(Path("a.csv"), "empty.")
    with pytest.raises(StudyError) as caught:
        problems.raise_if_any()
    assert caught.value.problems == ("a.csv: empty.", "b.csv:3: no number.")
    assert caught.value.cure == "Nothing was imported. Fix the data or the mapping, and import again."


def test_many_problems_are_counted_and_not_all_shown() -> None:
    """A wrong column is wrong in every row."""
    problems = ImportProblems()
    for line in range(MAX_SHOWN + 7):
        problems.add("t.csv", "no number.", line=line)
    with pytest.raises(StudyError) as caught:
        problems.raise_if_any()
    assert len(caught.value.problems) == MAX_SHOWN + 1
    assert caught.value.problems[-1] == "and 7 more"


def test_control_characters_are_escaped() -> None:
    """A name in the data must not send commands to a terminal."""
    problems = ImportProblems()
    problems.add("a\n\x1b[31m", "empty.")
    assert problems.messages == ["a\\n\\x1b[31m: empty."]


def test_long_texts_are_shortened_in_quotes() -> None:
    """A cell may hold a whole file."""
    assert quoted("x" * 60) == repr("x" * 60)
    assert quoted("x" * 61) == repr("x" * 57 + "...")
