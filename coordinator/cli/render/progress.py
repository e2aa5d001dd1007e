"""Shows a campaign: a live table on a terminal, plain lines when piped. Draws only when something happens.

On one machine the coordinator shares the CPU with the work, so nothing is redrawn while a window is open.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import IO, Any, assert_never

from coordinator.events.events import (
    BlockStarted,
    ClockDiffers,
    Collected,
    Event,
    MachineBusy,
    MachineDone,
    MachineJoined,
    MachineLeft,
    MachineRefused,
    MachineSetAside,
    PlanFixed,
    Preparing,
    Stalled,
    TrialEnded,
    TrialLost,
    TrialStarted,
)

RECENT = 8
SAID = 4
MOST_MACHINES = 24


def duration_text(seconds: float) -> str:
    """`seconds` for people: 45 s, 3 min 20 s, 5 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def event_line(event: Event) -> str | None:  # noqa: C901, PLR0912 - one case an event
    """One plain line about `event`; None where it is not worth one."""
    match event:
        case MachineJoined():
            return f"{event.machine}: joined"
        case MachineRefused():
            return f"{event.node} takes no part: {event.why.rstrip('.')}. {event.cure}"
        case MachineLeft():
            return f"{event.machine}: gone ({event.why})"
        case MachineBusy():
            return f"{event.machine}: {event.message}"
        case MachineSetAside():
            return f"{event.machine}: set aside: {event.why}"
        case ClockDiffers():
            how = "ahead of" if event.ahead_s > 0 else "behind"
            return (
                f"{event.machine}: its clock is {abs(event.ahead_s):.0f} s {how} this machine's, and its rows are "
                "dated by it. Have both keep the time (timedatectl set-ntp true)."
            )
        case MachineDone():
            return f"{event.machine}: done"
        case Preparing():
            return f"{event.machine}: preparing {event.what} ({event.number}/{event.total})"
        case PlanFixed():
            return _plan_line(event)
        case BlockStarted():
            again = f", round {event.round}" if event.round > 1 else ""
            return f"{event.machine}: block {event.number} of {event.total}{again}"
        case TrialStarted():
            return None
        case TrialEnded():
            what = "pilot" if event.trial.kind == "pilot" else f"block {event.trial.block}"
            return f"{event.machine}: [{event.number}/{event.total}] {what} {event.trial.cell}: {_outcome(event)}"
        case TrialLost():
            return f"{event.machine}: {event.trial.cell} was lost with its agent; it runs again"
        case Collected():
            return f"{event.machine}: collected {event.attempt_id} from an earlier run"
        case Stalled():
            return event.message
        case _:
            assert_never(event)


def _plan_line(event: PlanFixed) -> str:
    before = f", {event.done} of them done before" if event.done else ""
    again = (
        f"; {event.obsolete} attempts of an earlier form of the study stay in the store and are not used"
        if event.obsolete
        else ""
    )
    return f"{event.place}: {event.total} trials{before}; about {duration_text(event.expected_s)} to go{again}"


def _outcome(event: TrialEnded) -> str:
    outcome = event.outcome
    if outcome.status != "ok":
        return f"FAILED ({outcome.reason})"
    marks = f" [{', '.join(outcome.marks)}]" if outcome.marks else ""
    return f"ok, window {outcome.window_s or 0:.2f} s{marks}"


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
                self._recent.append((event.machine, block, str(event.trial.cell), _outcome(event)))
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
