"""The faults of a simulated fleet, as a list: Hypothesis can shorten it while a law stays broken."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.support.agent_disk import AgentDisk
from tests.support.simulated_fleet import Host, World

MINUTE, HOUR = 60.0, 3600.0
AWAY_S = (20.0, 90.0, 10 * MINUTE, 50 * MINUTE, 2 * HOUR)
SHORT_S = (5.0, 20.0, 45.0, 90.0, 130.0)
STEPS_S = (-26 * HOUR, -5 * HOUR, -40 * MINUTE, 2 * HOUR, 30 * HOUR)

AILS = (
    "kill before",
    "kill after",
    "called twice",
    "answered twice",
    "fail: exception",
    "fail: timeout",
    "fail: runner_died",
)
"""Faults of the next trial of a machine."""

KINDS = (
    *AILS,
    "crash",
    "crash of all",
    "stop",
    "usurp",
    "kill",
    "hang",
    "cut off",
    "unplug",
    "cut the network",
    "restart",
    "gone for good",
    "twin",
    "second node",
    "agent's disk full",
    "store's disk full",
    "coordinator's clock",
    "agent's clock",
    "busy",
    "grow",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault `after` so many moments from the one before it. `machine` and `amount` choose where and how much."""

    after: int
    kind: str
    machine: int = 0
    amount: int = 0


class FaultPlan:
    """Applies faults to a world as its moments pass."""

    def __init__(self, world: World, faults: Sequence[Fault], *, shelf: Callable[[str], AgentDisk]) -> None:
        """`shelf` makes an empty shelf for a host, by its name."""
        self.world = world
        self._shelf = shelf
        self.left = deque(faults)
        self.stopping = False
        self.usurping = 0
        """Number of moments after which two coordinators take turns; 0 where no second one starts."""
        self.clock_off_s = 0.0
        self.store_full_until_s = 0.0
        self.grown = 0
        self._since = 0
        self._machines = tuple(world.hosts)
        self._coordinator_faults: dict[str, Callable[[int], None]] = {
            "crash": self._crash,
            "crash of all": self._crash_all,
            "stop": self._stop,
            "usurp": self._usurp,
            "store's disk full": self._fill_store,
            "coordinator's clock": self._set_clock,
            "grow": self._grow,
        }
        self._host_faults: dict[str, Callable[[Host, Fault], None]] = {
            "kill": self._kill,
            "hang": self._hang,
            "cut off": self._cut_off,
            "unplug": self._away,
            "cut the network": self._away,
            "restart": self._away,
            "gone for good": self._away,
            "twin": self._add_twin,
            "second node": self._add_node,
            "agent's disk full": self._fill_agent,
            "agent's clock": self._set_host_clock,
            "busy": self._keep_busy,
        }
        world.befall = self._befall

    def heal(self) -> None:
        """End all faults, except that hosts which are gone for good stay away."""
        self.left.clear()
        self.stopping, self.world.crashing, self.usurping, self.store_full_until_s = False, False, 0, 0.0
        for host in list(self.world.hosts):
            host.ails.clear()
            host.hangs, host.full_until_s, host.busy_until_s = False, 0.0, 0.0
            if host not in self._machines:
                self.world.leave(host, power=True)
                self.world.hosts.remove(host)
        for name in list(self.world.nodes):
            if name.startswith("second"):
                del self.world.nodes[name]
        for host in self._machines:
            if not host.here and not host.gone:
                self.world.join(host)

    def _befall(self) -> None:
        self._since += 1
        while self.left and self.left[0].after <= self._since:
            self._since = 0
            fault = self.left.popleft()
            self.world.happened[fault.kind] += 1
            self._apply(fault, self._machines[fault.machine % len(self._machines)])

    def _apply(self, fault: Fault, host: Host) -> None:
        if fault.kind in AILS:
            host.ails.append(fault.kind)
        elif fault.kind in self._host_faults:
            self._host_faults[fault.kind](host, fault)
        else:
            self._coordinator_faults[fault.kind](fault.amount)

    def _crash_all(self, _: int) -> None:
        self.world.crashing = True
        for node in self.world.nodes.values():
            if node.agent is not None:
                node.agent.kill()

    def _crash(self, _: int) -> None:
        self.world.crashing = True

    def _stop(self, _: int) -> None:
        self.stopping = True

    def _usurp(self, amount: int) -> None:
        self.usurping = 1 + 7 * amount

    def _fill_store(self, amount: int) -> None:
        self.store_full_until_s = self.world.now + SHORT_S[amount]

    def _set_clock(self, amount: int) -> None:
        self.clock_off_s += STEPS_S[amount]

    def _grow(self, _: int) -> None:
        self.grown = min(2, self.grown + 1)
        self.stopping = True

    def _hang(self, host: Host, _: Fault) -> None:
        host.hangs = True

    def _kill(self, host: Host, _: Fault) -> None:
        self._end_agent(host, cut=False)

    def _cut_off(self, host: Host, _: Fault) -> None:
        self._end_agent(host, cut=True)

    def _fill_agent(self, host: Host, fault: Fault) -> None:
        host.full_until_s = self.world.now + SHORT_S[fault.amount]

    def _set_host_clock(self, host: Host, fault: Fault) -> None:
        host.clock_off_s += STEPS_S[fault.amount]

    def _keep_busy(self, host: Host, fault: Fault) -> None:
        host.busy_until_s = self.world.now + SHORT_S[fault.amount]

    def _add_node(self, host: Host, _: Fault) -> None:
        """Start a second node on the same host."""
        if host.here:
            node = self.world.join(host)
            del self.world.nodes[node.name]
            node.name = f"second {node.name}"
            self.world.nodes[node.name] = node

    def _end_agent(self, host: Host, *, cut: bool) -> None:
        for node in self.world.nodes.values():
            if node.host is host and node.agent is not None and cut:
                # It goes on, but nobody hears it, and another agent starts on the same host.
                node.agent.cut = True
            elif node.host is host and node.agent is not None:
                node.agent.kill()

    def _away(self, host: Host, fault: Fault) -> None:
        for_good = fault.kind == "gone for good"
        others = [other for other in self._machines if other is not host and not other.gone]
        if not host.here or (for_good and not others):
            return
        self.world.leave(host, power=fault.kind != "cut the network")
        host.gone = for_good
        if fault.kind == "restart":
            host.boot += 1
        if not for_good:
            self.world.later(AWAY_S[fault.amount], lambda: self._back(host))

    def _back(self, host: Host) -> None:
        if not host.here:
            self.world.join(host)

    def _add_twin(self, host: Host, _: Fault) -> None:
        """Add another host with the same machine id, as two copies of one disk image have."""
        name = f"twin {len(self.world.hosts)}"
        twin = Host(host.machine_id, name, self._shelf(name))
        self.world.hosts.append(twin)
        self.world.join(twin)
