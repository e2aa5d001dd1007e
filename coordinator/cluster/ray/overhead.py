"""The processes that watch and schedule on a measured machine: their cost is part of each row."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.host.machine import boot_id
from agent.sensors.system.process import tree_of
from coordinator.cluster.ray.node.processes import session_pids
from coordinator.cluster.ray.settings import NODE_VARIABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorProcess:
    """A coordinator's process, with the boot and process namespace in which its id is valid."""

    pid: int
    pid_namespace: str

    @classmethod
    def here(cls) -> CoordinatorProcess:
        """Return this process."""
        return cls(pid=os.getpid(), pid_namespace=_pid_namespace())


class Observers:
    """Finds the processes of Ray and of the coordinator on this machine, apart from this process, the agent.

    Ray's are the raylet, which is this process's parent, and everything below it; on a node of
    `joulefleet node up` the whole session, which on a head includes the control server.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self.coordinator: CoordinatorProcess | None = None
        """Process of the coordinator that commands this agent, on whatever machine."""
        self._own_session = NODE_VARIABLE in environ

    def __call__(self) -> Sequence[int]:
        """Return the ids of the processes that are there now, each once."""
        return tuple(dict.fromkeys(pid for pid in self._all() if pid != os.getpid()))

    def _all(self) -> Iterator[int]:
        yield from _tree(os.getppid())
        session = os.getsid(0)
        # Session 0 has the kernel's threads and all that a container's first process started: it is no node's.
        if self._own_session and session != 0:
            yield from session_pids(session)
        if self.coordinator is not None and self.coordinator.pid_namespace == _pid_namespace():
            yield from _tree(self.coordinator.pid)


def _tree(pid: int) -> list[int]:
    return [] if pid == 1 else tree_of(pid)


def _pid_namespace() -> str:
    """Return boot and process namespace: only where both are the same is a process id the same process."""
    return f"{boot_id(Path('/proc'))} {Path('/proc/self/ns/pid').readlink()}"
