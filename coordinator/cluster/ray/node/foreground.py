"""A node that lives as long as one process: a service, a container, or a run."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from coordinator.cluster.ray.network import HEAD_WAIT_S, address_to_listen_on, wait_for_head
from coordinator.cluster.ray.node.lifecycle import down, locked, up
from coordinator.cluster.ray.node.spec import PORT_BASE, NodePlan, Ports
from coordinator.cluster.ray.node.state import NodeRecord
from joulefleet.errors import MachineError

BEAT_S = 30.0
"""Time between two heartbeats, seconds. Health checks allow some minutes."""


class StopSignals:
    """Catches SIGTERM and SIGINT from now to the end of the process: they ask for the end of the node, nothing else.

    Make it before it is announced that the node is up, as the signal may follow at once. A second signal
    does not interrupt the ending.
    """

    def __init__(self) -> None:
        self._requests, write_end = os.pipe()
        os.set_blocking(write_end, False)
        signal.set_wakeup_fd(write_end)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)

    def wait(self, record: NodeRecord, heartbeat: Heartbeat | None) -> bool:
        """Wait until the node has ended (return False) or a signal asks for its end (return True); beat meanwhile."""
        try:
            raylet = os.pidfd_open(record.raylet.pid)
        except ProcessLookupError:
            return False
        ready: list[int] = []
        while not ready:
            if heartbeat is not None:
                heartbeat.beat()
            _reap()
            # Without a heartbeat and without children to reap, nothing wakes it in between.
            idle = None if heartbeat is None and os.getpid() != 1 else BEAT_S
            ready, _, _ = select.select([self._requests, raylet], [], [], idle)
        return self._requests in ready


class Heartbeat:
    """A file whose age says how long ago the node last answered: a health check needs no Python to read it."""

    def __init__(self, file: Path, address: str) -> None:
        self._file = file
        self._address = address

    def beat(self) -> None:
        """Touch the file if the node answers at its address. A file that cannot be written grows old."""
        with contextlib.suppress(MachineError, OSError):
            wait_for_head(self._address, wait_s=0.0)
            self._file.touch()


def _reap() -> None:
    """Reap processes that have ended, if this is a container's first process, which inherits all orphans."""
    if os.getpid() == 1:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass


@contextmanager
def coordinator_node(join: str, listen: str, *, state: Path) -> Iterator[None]:
    """Run a node that measures nothing in the cluster of the head at `join`: a coordinator needs one on its machine.

    `listen` as in `address_to_listen_on`. Raises MachineError.
    """
    address = address_to_listen_on(listen, join, wait_s=HEAD_WAIT_S)
    plan = NodePlan(join=join, listen=address, ports=Ports(base=PORT_BASE), measures=False)
    with foreground_lock(state):
        up(plan, state=state, token=None, tls=None)
        try:
            yield
        finally:
            down(state)


def foreground_lock(state: Path) -> AbstractContextManager[None]:
    """Hold the lock of a process that stays with the node of this state folder. Raises MachineError.

    Containers that share a volume do not see each other's processes, so they cannot see that a node is up.
    """
    taken = MachineError(
        f"another process has a node with the state in {state}, perhaps in another container.",
        cure="Give each its own folder or volume ($JOULEFLEET_STATE): rows wait there until they are in the store.",
    )
    return locked(state, "ray-node.held", taken)
