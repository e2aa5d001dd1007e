"""Ctrl-C during a run: the first one ends the run after the present trial, the second one ends it at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Self


class Interrupts:
    """Handles SIGINT and SIGTERM inside its `with` block, and restores the earlier handlers after it.

    The first SIGINT makes `requested` true and calls `notify` with a line for the user. A second SIGINT,
    or a SIGTERM, raises KeyboardInterrupt. A finished trial is never lost.
    """

    def __init__(self) -> None:
        self._count = 0
        self._before: dict[int, Any] = {}
        self.notify: Callable[[str], None] = lambda text: None

    def __enter__(self) -> Self:
        self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        self.install()
        return self

    def install(self) -> None:
        """Install the handlers; call it again after Ray has started, which installs its own."""
        for number in self._before:
            signal.signal(number, self._handle)

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def requested(self) -> bool:
        """Return whether the run is to stop after the present trial."""
        return self._count > 0

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if number == signal.SIGTERM or self._count > 1:
            raise KeyboardInterrupt
        self.notify(
            "Stopping when this trial is done. Press Ctrl-C again to stop now; the trial then runs again next time."
        )
