"""Shows a campaign: a live table on a terminal, plain lines when piped. Draws only when something happens.

On one machine the coordinator shares the CPU with the work, so nothing is redrawn while a window is open.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import IO, Any

from coordinator.events.events import (
    BlockStarted,
    Event,
    MachineBusy,
    MachineDone,
    MachineLeft,
    MachineSetAside,
    Preparing,
    TrialEnded,
    TrialStarted,
)
from coordinator.events.text import event_line, outcome_text
from coordinator.text import duration_text

RECENT = 8
SAID = 4
MOST_MACHINES = 24


class PlainProgress:
    """A line an event."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        """Show `event`."""
        line = event_line(event)
        if line is not None:
            print(line, file=self._stream, flush=True)

    def shown(self) -> AbstractContextManager[Any]:
        """While shown."""
        return nullcontext()

    def note(self, text: str) -> None:
        """Say something beside the events."""
        print(text, file=self._stream, flush=True)


class LiveProgress:
    """Tables that are drawn anew at each event, and at no other time."""

    def __init__(self, study: str, now: Callable[[], float] = time.monotonic) -> None:
        from rich.console import Console
        from rich.live import Live

        self._study = study
        self._now = now
        self._begun = now()
        self._recent: deque[tuple[str, str, str, str]] = deque(maxlen=RECENT)
        self._machines: dict[str, tuple[str, str]] = {}
        self._left_s: dict[str, float] = {}
        self._failures = 0
        self._said: deque[str] = deque(maxlen=SAID)
        self._live = Live(console=Console(stderr=True), auto_refresh=False)

    def __call__(self, event: Event) -> None:
        """Show `event`."""
        match event:
            case TrialStarted():
                kind = "pilot" if event.trial.kind == "pilot" else f"block {event.trial.block}"
                done = f"{event.number - 1}/{event.total}{' pilots' if kind == 'pilot' else ''}"
                self._machines[event.machine] = (done, f"{kind}, {event.trial.cell}")
                if event.left_s is not None:
                    self._left_s[event.machine] = event.left_s
            case TrialEnded():
                self._failures += event.outcome.status != "ok"
                block = "pilot" if event.trial.kind == "pilot" else str(event.trial.block)
                self._recent.append((event.machine, block, str(event.trial.cell), outcome_text(event)))
                self._machines[event.machine] = (f"{event.number}/{event.total}", "")
            case Preparing() | BlockStarted():
                done, _ = self._machines.get(event.machine, ("", ""))
                self._machines[event.machine] = (done, (event_line(event) or "").split(": ", 1)[1])
            case MachineDone() | MachineLeft() | MachineBusy() | MachineSetAside():
                done, _ = self._machines.get(event.machine, ("", ""))
                self._machines[event.machine] = (done, (event_line(event) or "").split(": ", 1)[1])
                self._left_s.pop(event.machine, None)
            case _:
                self._said.append(event_line(event) or "")
        self._draw()

    def shown(self) -> AbstractContextManager[Any]:
        """While shown."""
        return self._live

    def note(self, text: str) -> None:
        """Say something beside the events."""
        self._said.append(text)
        self._draw()

    def _draw(self) -> None:
        from rich.console import Group, RenderableType
        from rich.table import Table
        from rich.text import Text

        machines = Table(box=None, pad_edge=False)
        for column in ("machine", "done", ""):
            machines.add_column(column)
        for name, (done, what) in list(self._machines.items())[:MOST_MACHINES]:
            machines.add_row(Text(name), Text(done), Text(what))
        if len(self._machines) > MOST_MACHINES:
            machines.add_row(Text(f"and {len(self._machines) - MOST_MACHINES} more"))
        recent = Table(box=None, pad_edge=False)
        for column in ("machine", "block", "cell", "outcome"):
            recent.add_column(column)
        for row in self._recent:
            recent.add_row(*(Text(value, style="red" if "FAILED" in row[3] else "") for value in row))
        lines: list[RenderableType] = [Text(self._head(), style="bold"), machines]
        if self._recent:
            lines += [Text(""), recent]
        lines += [Text(line) for line in self._said if line]
        self._live.update(Group(*lines), refresh=True)

    def _head(self) -> str:
        elapsed = duration_text(self._now() - self._begun)
        failures = f", {self._failures} failed" if self._failures else ""
        # Machines run side by side: the slowest says how long it takes.
        left = f", about {duration_text(max(self._left_s.values()))} to go" if self._left_s else ""
        return f"{self._study}: {elapsed} so far{left}{failures}"
