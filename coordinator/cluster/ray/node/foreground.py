"""A node that a process stays with: a service's, a container's, or one beside a run."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coordinator.cluster.ray.network import HEAD_WAIT_S, address_to_listen_on, wait_for_head
from coordinator.cluster.ray.node.lifecycle import down, locked, up
from coordinator.cluster.ray.node.spec import PORT_BASE, NodePlan, Ports
from coordinator.cluster.ray.node.state import NodeRecord
from joulefleet.errors import MachineError

BEAT_S = 30.0
"""A health check takes a heartbeat of some minutes ago for a sign of death."""


class Told:
    """From its making on to the end of the process, SIGTERM and SIGINT ask for the end of the node and do no more.

    Made before anybody hears that the node is up: whoever hears it may ask at once. Being told twice
    must not cut the ending short.
    """

    def __init__(self) -> None:
        self._asked, ask = os.pipe()
        os.set_blocking(ask, False)
        signal.set_wakeup_fd(ask)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)

    def wait(self, record: NodeRecord, heartbeat: Heartbeat | None) -> bool:
        """Wait for the end of the node (False), or to be told to end it (True). Meanwhile its heart beats."""
        try:
            raylet = os.pidfd_open(record.raylet.pid)
        except ProcessLookupError:
            return False
        ready: list[int] = []
        while not ready:
            if heartbeat is not None:
                heartbeat.beat()
            _reap()
            # Without anything to do meanwhile it sleeps for good.
            idle = None if heartbeat is None and os.getpid() != 1 else BEAT_S
            ready, _, _ = select.select([self._asked, raylet], [], [], idle)
        return self._asked in ready


class Heartbeat:
    """A file whose age says how long ago the node last answered: what health checks look at, without any of Python."""

    def __init__(self, file: Path, address: str) -> None:
        self._file = file
        self._address = address

    def beat(self) -> None:
        """Touch the file, if the node answers at its address. Where the file cannot be written it grows old."""
        with contextlib.suppress(MachineError, OSError):
            wait_for_head(self._address, wait_s=0.0)
            self._file.touch()


def _reap() -> None:
    """As a container's first process: let go of what was left to it by others and has ended."""
    if os.getpid() == 1:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass


@contextmanager
def beside(join: str, listen: str, *, state: Path) -> Iterator[None]:
    """Meanwhile this machine has a node in the cluster of the head at `join` that measures nothing.

    A coordinator needs one beside it. `listen` as in `address_to_listen_on`. Raises MachineError.
    """
    address = address_to_listen_on(listen, join, wait_s=HEAD_WAIT_S)
    with held(state):
        up(
            NodePlan(join=join, listen=address, ports=Ports(base=PORT_BASE), measures=False),
            state=state,
            token=None,
            tls=None,
        )
        try:
            yield
        finally:
            down(state)


@contextmanager
def held(state: Path) -> Iterator[None]:
    """Meanwhile no other process has a node in the foreground with this state folder. Raises MachineError.

    Containers that share a volume do not see each other's processes, and so not that a node is up.
    """
    taken = MachineError(
        f"another process has a node with the state in {state}, perhaps in another container.",
        cure="Give each its own folder or volume ($JOULEFLEET_STATE): what is measured waits there.",
    )
    with locked(state, "ray-node.held", taken):
        yield
