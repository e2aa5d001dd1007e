"""Shows the steps of long work on standard error: one line that changes on a terminal, a few lines in a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Self, TextIO

from joulefleet.store.compaction import Step

_EVERY_S = {True: 0.1, False: 10.0}
"""Shortest time between two updates, seconds: on a terminal, and elsewhere."""


class StepLine:
    """Shows each step that it is called with; leaving the `with` block clears the line.

    `clock` returns seconds.
    """

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._terminal = out.isatty()
        self._shown_at = clock()
        self._width = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._width:
            self._out.write(f"\r{'':{self._width}}\r")
            self._out.flush()

    def __call__(self, step: Step) -> None:
        """Show `step`, unless the previous one was shown too recently."""
        if self._clock() - self._shown_at < _EVERY_S[self._terminal]:
            return
        self._shown_at = self._clock()
        text = f"{step.what}: {100 * step.done // max(step.total, 1)} %"
        if self._terminal:
            self._out.write(f"\r{text:{self._width}}")
            self._width = len(text)
        else:
            self._out.write(f"{text}\n")
        self._out.flush()
