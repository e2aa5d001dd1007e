"""A file in the store that says what each machine is doing, for `joulefleet status`.

A best-effort snapshot; the rows of the store are authoritative.
"""

from __future__ import annotations

import contextlib
import json
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
from coordinator.events.text import event_detail
from joulefleet.durable import temporary_file
from joulefleet.store.layout import StoreLayout

WRITE_SHARE = 0.01
"""Largest share of the time that goes into writing: with a thousand machines one write takes milliseconds."""

BURST_S = 0.1
"""Writing time that may be spent at once after a pause, seconds: several events may come in one moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineActivity:
    """What one machine, or one refused node, is doing."""

    name: str
    doing: str
    since: float
    """Seconds since 1970."""
    left_s: float | None = None
    """Time that the trials of its place still take, seconds."""


class LiveFile:
    """Writes what the machines are doing to a file at each event, less often in a large fleet; ignores a full disk."""

    def __init__(
        self,
        layout: StoreLayout,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = layout.live_file
        self._clock, self._monotonic = clock, monotonic
        self._machines: dict[str, MachineActivity] = {}
        self._credit_s = BURST_S
        self._counted_s = monotonic()

    def __call__(self, event: Event) -> None:
        """Note `event`, and write the file unless too much time went into that."""
        match event:
            case TrialStarted(machine=name, left_s=left_s):
                self._note(name, event_detail(event), left_s)
            case TrialEnded(machine=name):
                self._note(name, "between two trials", self._machines[name].left_s if name in self._machines else None)
                # Not written: the next event of this machine comes at once.
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
                self._note(name, event_detail(event), None)
            case _:
                return
        now_s = self._monotonic()
        self._credit_s = min(BURST_S, self._credit_s + WRITE_SHARE * (now_s - self._counted_s))
        self._counted_s = now_s
        if self._credit_s > 0:
            self.write()

    def write(self) -> None:
        """Write the file now."""
        begun_s = self._monotonic()
        by_name = sorted(self._machines.values(), key=lambda machine: machine.name)
        data = json.dumps([asdict(machine) for machine in by_name], ensure_ascii=False)
        with contextlib.suppress(OSError), temporary_file(self._path) as temporary:
            temporary.write_text(data, encoding="utf-8")
            temporary.replace(self._path)
        self._credit_s -= self._monotonic() - begun_s

    def close(self) -> None:
        """Remove the file: no machine does anything any more."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _note(self, name: str, doing: str, left_s: float | None) -> None:
        self._machines[name] = MachineActivity(name=name, doing=doing, since=self._clock(), left_s=left_s)


def read_live(file: Path) -> tuple[MachineActivity, ...]:
    """Return what `file` says; nothing where it is missing or damaged."""
    try:
        return tuple(MachineActivity(**entry) for entry in json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError):
        return ()
