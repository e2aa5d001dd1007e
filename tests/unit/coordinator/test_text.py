"""Text for people."""

from __future__ import annotations

import pytest

from coordinator.text import duration_text, printable, table_lines


def test_columns_are_aligned() -> None:
    """Numbers are aligned to the right, and no line ends with a space."""
    lines = list(table_lines(("a", "number"), [("long name", "1"), ("b", "22")], right={1}))
    assert lines == ["a          number", "long name       1", "b              22"]


def test_control_characters_are_escaped() -> None:
    """Newlines, escapes and control characters are escaped; letters of any script stay."""
    assert printable("a\nb\x1b[31mc\x07 ü→漢") == "a\\nb\\x1b[31mc\\x07 ü→漢"


def test_table_without_rows_is_its_header() -> None:
    """An empty result still shows its columns."""
    assert list(table_lines(("a", "b"), [])) == ["a  b"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (3599.7, "1 h 0 min"), (18_600, "5 h 10 min")],
)
def test_durations_have_two_units_at_most(seconds: float, text: str) -> None:
    """A second that is rounded up carries over into the next unit."""
    assert duration_text(seconds) == text
