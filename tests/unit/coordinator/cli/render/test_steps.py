"""The line that shows the steps of long work."""

from __future__ import annotations

import io

from coordinator.cli.render.steps import StepLine
from joulefleet.store.compaction import Step


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


class Clock:
    """A clock whose seconds a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now


def shown(out: io.StringIO, seconds: list[float]) -> str:
    """Return what `out` has received after a step at each of `seconds`."""
    clock = Clock()
    with StepLine(out, clock) as line:
        for done, now in enumerate(seconds):
            clock.now = now
            line(Step(what="compacting", done=done, total=4))
    return out.getvalue()


def test_a_terminal_has_one_line_that_is_gone_at_the_end() -> None:
    """It is overwritten in place, and not more often than the eye can follow."""
    assert shown(Terminal(), [0.0, 0.2, 0.21, 0.5]) == "\rcompacting: 25 %\rcompacting: 75 %\r                \r"


def test_a_pipe_has_a_line_every_ten_seconds() -> None:
    """Short work writes nothing, and long work does not fill a log."""
    assert shown(io.StringIO(), [0.0, 1.0]) == ""
    assert shown(io.StringIO(), [0.0, 11.0, 12.0, 30.0]) == "compacting: 25 %\ncompacting: 75 %\n"
