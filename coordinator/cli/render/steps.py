"""Shows the steps of long work on standard error: one line that changes on a terminal, few lines when piped."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from joulefleet.store.compaction import Step

_EVERY_S = {True: 0.1, False: 10.0}
"""On a terminal, and where the lines are kept."""


class StepLine:
    """Called with each step. `clock` gives seconds."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._terminal = out.isatty()
        self._shown_at = clock()
        self._width = 0

    def __call__(self, step: Step) -> None:
        """Show `step`, if the last one was shown long enough."""
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

    def end(self) -> None:
        """Leave no half line behind."""
        if self._width:
            self._out.write(f"\r{'':{self._width}}\r")
            self._out.flush()
