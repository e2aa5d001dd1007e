"""Processes by id and start time: an id alone may meanwhile belong to another process."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_POLL_S = 0.05
_KILL_S = 20.0
"""Time to wait for processes that were killed, seconds. Usually they are gone within milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessKey:
    """A process of this boot. `started` is in clock ticks since boot, which setting the time of day does not change."""

    pid: int
    started: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundProcess:
    """A process in the table; `ended` if it is there only until its parent asks for its exit code."""

    key: ProcessKey
    ended: bool


def process(pid: int) -> FoundProcess | None:
    """Return the process `pid`; None where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The name is in brackets and may hold anything, brackets too: proc(5).
    name, _, rest = stat.partition("(")[2].rpartition(")")
    fields = rest.split()
    return FoundProcess(key=ProcessKey(pid=pid, started=int(fields[19]), name=name), ended=fields[0] in {"Z", "X"})


def alive(key: ProcessKey) -> bool:
    """Tell whether the process still runs."""
    found = process(key.pid)
    return found is not None and found.key.started == key.started and not found.ended


def session_pids(number: int) -> Iterator[int]:
    """Yield the ids of the processes of a session, by its number."""
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            if os.getsid(pid) == number:
                yield pid


def session(number: int) -> list[ProcessKey]:
    """Return the running processes of a session."""
    return [found.key for found in _in_session(number) if not found.ended]


def members(number: int, known: Iterable[ProcessKey], folder: Path) -> list[ProcessKey]:
    """Return the running processes of session `number`, which held the `known` ones and what they started.

    The kernel gives a session's number to nobody else while one of its processes is there. Once none of the known
    ones is, only processes that write into `folder` count.
    """
    keys = {(key.pid, key.started) for key in known}
    there = list(_in_session(number))
    is_known = any((found.key.pid, found.key.started) in keys for found in there)
    return [found.key for found in there if not found.ended and (is_known or _writes_into(found.key.pid, folder))]


def _in_session(number: int) -> Iterator[FoundProcess]:
    return (found for pid in session_pids(number) if (found := process(pid)) is not None)


def _writes_into(pid: int, folder: Path) -> bool:
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/fd/{descriptor}").readlink().is_relative_to(folder):
                return True
    return False


def end(find: Callable[[], Sequence[ProcessKey]], *, grace_s: float) -> int:
    """End what `find` returns: SIGTERM, then SIGKILL for what is left after `grace_s` seconds. Return their number.

    A process that the kernel does not let end even then (a disk or a mount that hangs) is left.
    """
    seen: set[ProcessKey] = set()
    ends_s = time.monotonic() + grace_s
    while (left := find()) and time.monotonic() < ends_s + _KILL_S:
        is_over = time.monotonic() >= ends_s
        for key in left:
            if is_over or key not in seen:
                _signal(key, signal.SIGKILL if is_over else signal.SIGTERM)
        seen.update(left)
        time.sleep(_POLL_S)
    return len(seen)


def _signal(key: ProcessKey, number: signal.Signals) -> None:
    if alive(key):
        with contextlib.suppress(ProcessLookupError):
            os.kill(key.pid, number)
