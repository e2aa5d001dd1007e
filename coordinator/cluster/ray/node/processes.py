"""Processes by number and start: a number alone may meanwhile be another's."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_POLL_S = 0.05
_KILL_S = 20.0
"""A process that was killed is gone within milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessKey:
    """A process of this boot. `started` is in clock ticks since boot, as the kernel counts."""

    pid: int
    started: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A process that is there, perhaps only until its parent has asked for its exit code (`ended`)."""

    key: ProcessKey
    session: int
    ended: bool


def processes() -> Iterator[Found]:
    """Every process there is."""
    for folder in _PROC.iterdir():
        if folder.name.isdecimal():
            found = process(int(folder.name))
            if found is not None:
                yield found


def process(pid: int) -> Found | None:
    """The process `pid`; None where there is none."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The name is in brackets and may hold anything, brackets too: proc(5).
    name, _, rest = stat.partition("(")[2].rpartition(")")
    fields = rest.split()
    key = ProcessKey(pid=pid, started=int(fields[19]), name=name)
    return Found(key=key, session=int(fields[3]), ended=fields[0] in {"Z", "X"})


def alive(key: ProcessKey) -> bool:
    """Whether it still runs."""
    found = process(key.pid)
    return found is not None and found.key.started == key.started and not found.ended


def session(number: int) -> list[ProcessKey]:
    """The running processes of a session."""
    return [found.key for found in processes() if found.session == number and not found.ended]


def members(number: int, known: Iterable[ProcessKey], folder: Path) -> list[ProcessKey]:
    """The running processes of session `number`, which held the `known` ones and what they started.

    The kernel gives a session's number to nobody else while one of its processes is there. Once no
    known one is, only those count that write into `folder`.
    """
    numbers = {(key.pid, key.started) for key in known}
    there = [found for found in processes() if found.session == number]
    ours = any((found.key.pid, found.key.started) in numbers for found in there)
    return [found.key for found in there if not found.ended and (ours or _writes_into(found.key.pid, folder))]


def _writes_into(pid: int, folder: Path) -> bool:
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/fd/{descriptor}").readlink().is_relative_to(folder):
                return True
    return False


def end(found: Callable[[], Sequence[ProcessKey]], *, grace_s: float) -> int:
    """End what `found` finds: SIGTERM, and SIGKILL for what is left after `grace_s` seconds. How many there were.

    A process that the kernel does not let go even then (a disk or a mount that hangs) is left.
    """
    seen: set[ProcessKey] = set()
    ends = time.monotonic() + grace_s
    while (left := found()) and time.monotonic() < ends + _KILL_S:
        over = time.monotonic() >= ends
        for key in left:
            if over or key not in seen:
                _signal(key, signal.SIGKILL if over else signal.SIGTERM)
        seen.update(left)
        time.sleep(_POLL_S)
    return len(seen)


def _signal(key: ProcessKey, number: signal.Signals) -> None:
    if alive(key):
        with contextlib.suppress(ProcessLookupError):
            os.kill(key.pid, number)
