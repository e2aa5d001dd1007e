"""Simulated processes that take turns: each runs in a thread of its own, and one at a time goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Process:
    """Runs `body` whenever it has its turn. Only one of all threads goes on at any time, so every run is the same."""

    def __init__(self, body: Callable[[], None]) -> None:
        self.ended = False
        self._body = body
        self._error: BaseException | None = None
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def turn(self) -> None:
        """Let it go on until it yields or ends. Raises what it ended with."""
        self._go.release()
        self._back.acquire()
        if self.ended:
            self._thread.join()
        if self._error is not None:
            raise self._error

    def yield_(self) -> None:
        """Wait for the next turn; `body` calls this."""
        self._back.release()
        self._go.acquire()

    def _live(self) -> None:
        self._go.acquire()
        try:
            self._body()
        except BaseException as error:  # noqa: BLE001 - whatever it is, `turn` raises it where it belongs
            self._error = error
        self.ended = True
        self._back.release()
