"""Progress of a run on a terminal as tables that change, or anywhere else as plain lines.

Both draw only when an event comes: on one machine the coordinator shares the CPU with the work, and nothing may be
drawn while a window is open.
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
from coordinator.events.text import event_detail, event_line, outcome_text
from coordinator.text import duration_text

MOST_TRIALS = 8
"""Number of trials that have ended in the live table."""

MOST_NOTES = 4
"""Number of other lines below it."""

MOST_MACHINES = 24
"""Number of machines in it."""


class PlainProgress:
    """Prints one line for each event."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        """Show `event`."""
        line = event_line(event)
        if line is not None:
            self.note(line)

    def shown(self) -> AbstractContextManager[Any]:
        """Return a context in which events are shown."""
        return nullcontext()

    def note(self, text: str) -> None:
        """Show a line that is no event."""
        print(text, file=self._stream, flush=True)


class LiveProgress:
    """Draws tables of the machines and of the last trials anew at each event."""

    def __init__(self, study: str, now: Callable[[], float] = time.monotonic) -> None:
        from rich.console import Console
        from rich.live import Live

        self._study = study
        self._now = now
        self._begun_s = now()
        self._trials: deque[tuple[str, str, str, str]] = deque(maxlen=MOST_TRIALS)
        self._machines: dict[str, tuple[str, str]] = {}
        self._left_s: dict[str, float] = {}
        self._failures = 0
        self._notes: deque[str] = deque(maxlen=MOST_NOTES)
        self._live = Live(console=Console(stderr=True), auto_refresh=False)

    def __call__(self, event: Event) -> None:
        """Show `event`."""
        match event:
            case TrialStarted():
                pilots = " pilots" if event.trial.kind == "pilot" else ""
                self._machines[event.machine] = (f"{event.number - 1}/{event.total}{pilots}", event_detail(event))
                if event.left_s is not None:
                    self._left_s[event.machine] = event.left_s
            case TrialEnded():
                self._failures += event.outcome.status != "ok"
                block = "pilot" if event.trial.kind == "pilot" else str(event.trial.block)
                self._trials.append((event.machine, block, str(event.trial.cell), outcome_text(event)))
                self._machines[event.machine] = (f"{event.number}/{event.total}", "")
            case Preparing() | BlockStarted() | MachineDone() | MachineLeft() | MachineBusy() | MachineSetAside():
                done, _ = self._machines.get(event.machine, ("", ""))
                self._machines[event.machine] = (done, event_detail(event))
                if not isinstance(event, Preparing | BlockStarted):
                    self._left_s.pop(event.machine, None)
            case _:
                self._notes.append(event_line(event) or "")
        self._draw()

    def shown(self) -> AbstractContextManager[Any]:
        """Return a context in which the tables stand on the terminal."""
        return self._live

    def note(self, text: str) -> None:
        """Show a line that is no event."""
        self._notes.append(text)
        self._draw()

    def _draw(self) -> None:
        from rich.console import Group, RenderableType
        from rich.table import Table
        from rich.text import Text

        machines = Table("machine", "done", "", box=None, pad_edge=False)
        for name, (done, doing) in list(self._machines.items())[:MOST_MACHINES]:
            machines.add_row(Text(name), Text(done), Text(doing))
        if len(self._machines) > MOST_MACHINES:
            machines.add_row(Text(f"and {len(self._machines) - MOST_MACHINES} more"))
        trials = Table("machine", "block", "cell", "outcome", box=None, pad_edge=False)
        for row in self._trials:
            trials.add_row(*(Text(value, style="red" if "FAILED" in row[3] else "") for value in row))
        lines: list[RenderableType] = [Text(self._head(), style="bold"), machines]
        if self._trials:
            lines += [Text(""), trials]
        lines += [Text(line) for line in self._notes if line]
        self._live.update(Group(*lines), refresh=True)

    def _head(self) -> str:
        elapsed = duration_text(self._now() - self._begun_s)
        failures = f", {self._failures} failed" if self._failures else ""
        # Machines run at the same time, so the slowest one decides.
        left = f", about {duration_text(max(self._left_s.values()))} to go" if self._left_s else ""
        return f"{self._study}: {elapsed} so far{left}{failures}"
