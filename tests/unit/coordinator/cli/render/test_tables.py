"""Tables for people."""

from __future__ import annotations

import io

from coordinator.cli.render.tables import write_table
from coordinator.text import printable, table_lines


def test_columns_are_aligned() -> None:
    """Numbers to the right, and no space at the end of a line."""
    lines = list(table_lines(("a", "number"), [("long name", "1"), ("b", "22")], right={1}))
    assert lines == ["a          number", "long name       1", "b              22"]


def test_what_a_terminal_would_obey_is_shown_instead() -> None:
    """Newlines, escapes and control characters; letters of any script stay."""
    assert printable("a\nb\x1b[31mc\x07 ü→漢") == "a\\nb\\x1b[31mc\\x07 ü→漢"


def test_piped_table_is_plain() -> None:
    """No colour and no rules where it is no terminal."""
    out = io.StringIO()
    write_table(out, ("x",), [("[red]1[/red]",)])
    assert out.getvalue() == "x\n[red]1[/red]\n"


def test_table_on_a_terminal_takes_no_markup_from_cells() -> None:
    """A name in brackets is a name."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    write_table(out, ("x",), [("[red]1[/red]",)])
    assert "[red]1[/red]" in out.getvalue()


def test_table_without_rows_is_its_header() -> None:
    """So that an empty answer still says what was asked."""
    assert list(table_lines(("a", "b"), [])) == ["a  b"]
