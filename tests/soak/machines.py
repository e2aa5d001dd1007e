"""The machines of the soak: a head and nodes. A thread of each starts its node again whenever it is down."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.cluster.ray.node.processes import alive, session
from coordinator.cluster.ray.node.state import NodeRecord
from joulefleet.errors import JoulefleetError
from tests.soak.power_loss import Loss, Shadow
from tests.soak.processes import below, command_of, kill, kill_all, marked, wait_for_write
from tests.soak.record import Eye, Record
from tests.support.network_namespaces import Network, Plug
from tests.support.ray_nodes import FakeMachine

LOOK_S = 0.2
AGENT = "ray::AgentActor"
FORK_SERVER = "agent.runner.forkserver"


@dataclass(kw_only=True)
class Machine:
    """One machine; all processes of this soak have `mark` in their environment."""

    fake: FakeMachine
    mark: str
    record: Record
    shadow: Shadow
    luck: random.Random
    lock: threading.RLock = field(default_factory=threading.RLock)
    """Held by who starts or ends its node."""
    held: int = 0
    """Faults of several steps that are about it: it is theirs to bring up."""
    rests_until: float = 0.0
    node: NodeRecord | None = None
    failed: int = 0
    """`node up` in vain, since the last time it went well."""
    _counting: threading.Lock = field(default_factory=threading.Lock)
    ends: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        """The machine's name."""
        return self.fake.name

    @property
    def plug(self) -> Plug:
        """The machine's connection to the network."""
        assert self.fake.plug is not None
        return self.fake.plug

    def open(self) -> None:
        """Start its node, and start it again whenever it is down."""
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop starting it again."""
        self.ends.set()
        if self._thread is not None:
            self._thread.join()

    def is_up(self) -> bool:
        """Tell whether its node runs."""
        return self.node is not None and alive(self.node.raylet)

    def pids(self) -> set[int]:
        """Return all its processes."""
        found = marked(self.mark, f"SOAK_MACHINE={self.name}")
        if self.node is not None:
            # Ray's workers write their titles over their environments.
            found |= {key.pid for key in session(self.node.session)}
        for pid in list(found):
            found |= below(pid)
        return found

    def go_off(self, written: Path) -> None:
        """Kill all its processes at once; in half of the cases at the moment when a row is `written`."""
        pids = self.pids()
        if self.luck.random() < 0.5:
            wait_for_write(written)
        for pid in pids:
            kill(pid)
        kill_all(self.pids)
        self.node = None

    def rest(self) -> None:
        """Stay down for a short random time, when the thread that starts it again reaches this step."""
        self.rests_until = time.monotonic() + self.luck.uniform(0, 2.5)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Keep all other threads from starting or stopping it."""
        self.hold()
        try:
            with self.lock:
                yield
        finally:
            self.let_go()

    def hold(self) -> None:
        """Begin a fault of several steps."""
        with self._counting:
            self.held += 1

    def let_go(self) -> None:
        """End the fault."""
        with self._counting:
            self.held -= 1

    def down(self) -> None:
        """Run `node down`."""
        with self.lock:
            self.node = None
            self.fake.down()

    def _keep(self) -> None:
        while not self.ends.wait(LOOK_S):
            if self.held or time.monotonic() < self.rests_until or self.is_up() or not self._can_be_up():
                continue
            with self.lock:
                if self.held:
                    continue
                try:
                    # What has crashed `up` tidies away by itself.
                    if self.node is not None and alive(self.node.raylet):
                        self.down()
                    self._bring_up()
                    self.failed = 0
                except (AssertionError, subprocess.TimeoutExpired, JoulefleetError) as error:
                    self.failed += 1
                    self.record("not_up", machine=self.name, why=str(error)[-300:])
                    self.rests_until = time.monotonic() + 1

    def _can_be_up(self) -> bool:
        return True

    def _bring_up(self) -> None:
        raise NotImplementedError


@dataclass(kw_only=True)
class Head(Machine):
    """The machine with the coordinators and, on its disk, the store. It measures nothing."""

    store: Path
    number: int = 0
    """Of the clusters it was the head of."""

    @property
    def server(self) -> int:
        """Return the process of its control server."""
        assert self.node is not None
        return next(key.pid for key in self.node.processes if key.name == "gcs_server")

    def is_up(self) -> bool:
        """Tell whether its node and its control server run."""
        node = self.node
        return node is not None and all(alive(key) for key in node.processes if key.name in {"gcs_server", "raylet"})

    def _bring_up(self) -> None:
        self.node = self.fake.up("--head")
        self.number += 1
        self.record("up", machine=self.name, cluster=self.number)

    def lose_power(self) -> Loss:
        """Turn it off; its disk keeps what was synced."""
        with self.taken():
            self.go_off(self.store / "attempts")
            lost = self.shadow.lose(self.store, names=["format.json"])
            for name in ("attempts", "studies", "plans", "compacted", "manifest", "epochs"):
                found = self.shadow.lose(self.store / name)
                lost = Loss(
                    gone=lost.gone + found.gone,
                    returned=lost.returned + found.returned,
                    changed=lost.changed + found.changed,
                )
        self.rest()
        return lost


@dataclass(kw_only=True)
class Node(Machine):
    """A machine that measures."""

    head: Head
    network: Network
    eye: Eye | None = None
    intruder: bool = False
    cluster: int = 0
    """The head's, when it joined."""

    def is_up(self) -> bool:
        """Tell whether its node runs and belongs to the present head."""
        return self.cluster == self.head.number and super().is_up()

    def _can_be_up(self) -> bool:
        return self.head.is_up()

    def _bring_up(self) -> None:
        cluster = self.head.number
        self.node = self.fake.up("--join", self.head.fake.address, token=self.head.fake.state / "ray-token")
        self.cluster = cluster
        self.record("up", machine=self.name, address=self.plug.address)

    def agent(self) -> int | None:
        """Return the process of its agent."""
        return self._find(lambda pid: command_of(pid).startswith(AGENT))

    def runner(self) -> int | None:
        """Return the process of its fork server."""
        agent = self.agent()
        hosts = [] if agent is None else [pid for pid in below(agent) if FORK_SERVER in command_of(pid)]
        # Its children have the same command line.
        return min(hosts, default=None)

    def work(self) -> int | None:
        """Return the process of the trial that runs."""
        runner = self.runner()
        return None if runner is None else next(iter(below(runner)), None)

    def _find(self, is_it: object) -> int | None:
        node = self.node
        if node is None:
            return None
        for key in session(node.session):
            if callable(is_it) and is_it(key.pid):
                return key.pid
        return None

    def at_work(self) -> bool:
        """Tell whether it is up, no fault is under way on it, and a trial runs."""
        return not self.held and self.is_up() and self.work() is not None

    def kill_raylet(self) -> None:
        """Kill the raylet, as if Ray had crashed."""
        with self.lock:
            if self.node is not None:
                kill(self.node.raylet.pid)
        self.rest()

    def lose_power(self) -> Loss:
        """Turn it off; its disk keeps what was synced."""
        assert self.eye is not None
        with self.taken():
            state = self.fake.state
            self.go_off(state / "outbox")
            self.eye.look_away(self.name)
            lost = self.shadow.lose(state, names=["starts.jsonl"])
            for name in ("outbox", "epochs"):
                found = self.shadow.lose(state / name)
                lost = Loss(
                    gone=lost.gone + found.gone,
                    returned=lost.returned + found.returned,
                    changed=lost.changed + found.changed,
                )
        self.eye.look_again(self.name)
        self.rest()
        return lost

    def move(self, network_lock: threading.Lock) -> None:
        """Stop it and start it again under another address."""
        with self.taken():
            self.down()
            with network_lock:
                self.network.renumber(self.plug)
        self.rest()
