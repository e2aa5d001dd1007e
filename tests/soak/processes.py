"""The processes of the soak's machines, found by variables in their environments and by their sessions."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

END_S = 30.0


def marked(*marks: str) -> set[int]:
    """Return the processes with all of these NAME=VALUE in their environment, and their descendants; never this one."""
    wanted = {mark.encode() for mark in marks}
    found: set[int] = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                if wanted <= set((folder / "environ").read_bytes().split(b"\0")):
                    found.add(int(folder.name))
    for pid in list(found):
        found |= below(pid)
    return found - {os.getpid()}


def below(pid: int) -> set[int]:
    """Return all descendants of one process."""
    try:
        return {child.pid for child in psutil.Process(pid).children(recursive=True)}
    except psutil.Error:
        return set()


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def kill_all(find: Callable[[], Iterable[int]]) -> None:
    """Kill what `find` returns until it returns nothing; return when all have ended."""
    ends = time.monotonic() + END_S
    while left := [pid for pid in find() if running(pid)]:
        if time.monotonic() > ends:
            raise TimeoutError(f"processes {left} do not end")
        for pid in left:
            kill(pid)
        time.sleep(0.02)


def wait_for_write(folder: Path, seconds: float = 3.0) -> None:
    """Return at the moment when a file appears in `folder` or below it, or disappears."""

    def names() -> list[str]:
        return [str(path) for path in folder.rglob("*")]

    before, ends = names(), time.monotonic() + seconds
    while time.monotonic() < ends and names() == before:
        time.sleep(0.0005)


def running(pid: int) -> bool:
    """Tell whether the process runs and is not only an exit code that nobody has collected."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def command_of(pid: int) -> str:
    """Return its command line; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def wait_for(condition: Callable[[], bool], seconds: float, *, stop: Callable[[], bool] = lambda: False) -> bool:
    """Tell whether `condition` became true within `seconds` and before `stop` was set."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends or stop():
            return False
        time.sleep(0.05)
    return True
