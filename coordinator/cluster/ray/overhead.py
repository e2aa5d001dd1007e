"""The processes that watch and schedule on a measured machine: what they cost belongs into each row."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

NODE_VARIABLE = "JOULEFLEET_RAY_NODE"
"""Set in all processes of a node that `joulefleet node up` started: they have a session of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorProcess:
    """A coordinator's process, and the kernel and namespace in which its number means something."""

    pid: int
    place: str

    @classmethod
    def here(cls) -> CoordinatorProcess:
        """This process."""
        return cls(pid=os.getpid(), place=_place())


class Observers:
    """All of Ray and of the coordinator on this machine, whenever it is called; not this process, the agent.

    Ray's own are the raylet, which is this worker's parent, and all below it; on a node of
    `joulefleet node up` its whole session, which on a head has the control server too.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self.coordinator: CoordinatorProcess | None = None
        self._own_session = NODE_VARIABLE in environ

    def __call__(self) -> Sequence[int]:
        """The process ids, each once."""
        return tuple(dict.fromkeys(pid for pid in self._all() if pid != os.getpid()))

    def _all(self) -> Iterator[int]:
        yield from _tree(os.getppid())
        if self._own_session:
            yield from _session(os.getsid(0))
        if self.coordinator is not None and self.coordinator.place == _place():
            yield from _tree(self.coordinator.pid)


def _tree(pid: int) -> Iterable[int]:
    try:
        process = psutil.Process(pid)
        return [pid, *(child.pid for child in process.children(recursive=True))] if pid != 1 else []
    except psutil.Error:
        return []


def _session(session: int) -> Iterator[int]:
    if session == 0:
        # The kernel's threads are in it, and all that a container's first process started: no node of ours.
        return
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == session:
                yield pid
        except OSError:
            continue


def _place() -> str:
    """Boot and process namespace: only where both are the same is a process id the same process."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot_id} {Path('/proc/self/ns/pid').readlink()}"
