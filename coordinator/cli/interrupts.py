"""Ctrl-C: once, finish the trial and stop; twice, stop now. Nothing finished is lost either way."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Self


class Interrupts:
    """While entered, counts interrupts. A second one, or SIGTERM, raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self._count = 0
        self._before: dict[int, Any] = {}
        self.say: Callable[[str], None] = lambda text: None

    def __enter__(self) -> Self:
        self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        self.take()
        return self

    def take(self) -> None:
        """Take the signals, again where somebody else has taken them since: Ray does when it starts."""
        for number in self._before:
            signal.signal(number, self._handle)

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def asked(self) -> bool:
        """Whether to stop after the present trial."""
        return self._count > 0

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if number == signal.SIGTERM or self._count > 1:
            raise KeyboardInterrupt
        self.say("Stopping when this trial is done. Ctrl-C again to stop now; that trial then runs again next time.")
