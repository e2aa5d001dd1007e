"""What a coordinator is doing just now, beside the store, for `joulefleet status`. Never the truth, only the news."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from coordinator.events.events import (
    Event,
    MachineBusy,
    MachineDone,
    MachineJoined,
    MachineLeft,
    MachineRefused,
    MachineSetAside,
    Preparing,
    TrialEnded,
    TrialStarted,
)
from coordinator.events.text import event_line
from joulefleet.store.layout import StoreLayout

WRITE_SHARE = 0.01
"""Of the time, at most, goes into writing: with a thousand machines the file takes milliseconds."""

BURST_S = 0.1
"""So much writing may come at once: of several events in one moment the last is the news."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """What one machine, or one refused node, is about."""

    name: str
    doing: str
    since: float
    """Seconds since 1970."""
    left_s: float | None = None
    """Of all its trials."""


class LiveFile:
    """Hears events and writes what is going on, each at once in a small fleet. A disk that is full is no matter."""

    def __init__(
        self,
        layout: StoreLayout,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = layout.live_file
        self._clock, self._monotonic = clock, monotonic
        self._now: dict[str, Now] = {}
        self._credit_s = BURST_S
        self._counted_s = monotonic()

    def __call__(self, event: Event) -> None:
        """Note `event`."""
        match event:
            case TrialStarted(machine=name, trial=trial, left_s=left_s):
                what = "pilot" if trial.kind == "pilot" else f"block {trial.block}"
                self._note(name, f"{what}, {trial.cell}", left_s)
            case TrialEnded(machine=name):
                self._note(name, "between two trials", self._now[name].left_s if name in self._now else None)
                # What comes next comes at once, and is the news.
                return
            case MachineRefused(node=name, why=why):
                self._note(name, f"refused: {why}", None)
            case (
                MachineJoined(machine=name)
                | Preparing(machine=name)
                | MachineLeft(machine=name)
                | MachineBusy(machine=name)
                | MachineSetAside(machine=name)
                | MachineDone(machine=name)
            ):
                self._note(name, (event_line(event) or "").removeprefix(f"{name}: "), None)
            case _:
                return
        now_s = self._monotonic()
        self._credit_s = min(BURST_S, self._credit_s + WRITE_SHARE * (now_s - self._counted_s))
        self._counted_s = now_s
        if self._credit_s > 0:
            self.write()

    def write(self) -> None:
        """Write it now."""
        begun_s = self._monotonic()
        known = sorted(self._now.values(), key=lambda now: now.name)
        data = json.dumps([asdict(now) for now in known], ensure_ascii=False)
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        with contextlib.suppress(OSError):
            temporary.write_text(data, encoding="utf-8")
            temporary.replace(self._path)
        self._credit_s -= self._monotonic() - begun_s

    def close(self) -> None:
        """Nobody is doing anything any more."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _note(self, name: str, doing: str, left_s: float | None) -> None:
        self._now[name] = Now(name=name, doing=doing, since=self._clock(), left_s=left_s)


def read_live(file: Path) -> tuple[Now, ...]:
    """What the file says; nothing where it is not there or damaged."""
    try:
        return tuple(Now(**entry) for entry in json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError):
        return ()
