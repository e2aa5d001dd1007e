"""A fleet in simulated time: hosts with agents, disks, locks and clocks of their own, and faults.

Faults happen at moments: between any two steps of a coordinator or of an agent.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from coordinator.cluster.interface import Acknowledge, Call, CallResult, Command, Fetch, Prepare, Run
from joulefleet.errors import BusyError, JoulefleetError, MachineError
from joulefleet.plan.trial import Trial
from tests.support.agent_disk import AgentDisk
from tests.support.simulated_outcomes import SimulatedOutcome

TRIAL_S = 10.0
STEP_S = 0.1
MOST_MOMENTS = 10_000


class CrashError(BaseException):
    """The coordinator's process ends at this step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A trial that an agent has begun to measure."""

    trial: Trial
    machine_id: str
    epoch: int
    untried: frozenset[str]
    """Cells of the same block that had no row in the store then."""


class Caller(Protocol):
    """A coordinator's cluster, which commands an agent and takes its answers."""

    command: Command

    def heard(self, agent: Agent, call: Call | None, answer: CallResult | JoulefleetError | None) -> None:
        """Take the answer to `call`. A call of None is the hello; if its answer is None, the agent joins."""
        ...


class Host:
    """A physical machine: everything that stays when its agents die."""

    def __init__(self, machine_id: str, name: str, shelf: AgentDisk) -> None:
        self.machine_id, self.name, self.shelf = machine_id, name, shelf
        self.boot = 1
        self.clock_off_s = 0.0
        self.lock: Agent | None = None
        self.busy_until_s = 0.0
        self.full_until_s = 0.0
        self.here = True
        self.gone = False
        self.heard_epoch = 0
        self.durable: dict[str, bytes] = {}
        """Every row that was ever whole on its disk, by attempt."""
        self.ended_s: dict[str, float] = {}
        """True times at which attempts ended, seconds since 1970."""
        self.ails: deque[str] = deque()
        """Faults of its next trials."""
        self.hangs = False
        """Whether its next call is never answered."""

    @property
    def boot_id(self) -> str:
        """Id of the boot, another one after each restart."""
        return f"{self.name}-boot-{self.boot}"


@dataclass(slots=True)
class Node:
    """A host in the cluster. It is another node each time that it comes back."""

    name: str
    host: Host
    agent: Agent | None = None


@dataclass(slots=True)
class World:
    """Time, hosts and nodes. `befall` is called at every moment and may change any of them."""

    now: float = 1_800_000_000.0
    befall: Callable[[], None] = lambda: None
    between: Callable[[], None] = lambda: None
    """Called at the moments of coordinators alone, where another coordinator may take its turn."""
    crashing: bool = False
    """Whether the coordinator that runs ends at its next moment."""
    deadly: str | None = None
    """The cell whose trials make their machine restart."""
    sick: str | None = None
    """The cell whose trials always fail."""
    hosts: list[Host] = field(default_factory=list)
    nodes: dict[str, Node] = field(default_factory=dict)
    starts: list[Start] = field(default_factory=list)
    moments: int = 0
    untried: Callable[[Trial], frozenset[str]] = lambda trial: frozenset()
    happened: Counter[str] = field(default_factory=Counter)
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def moment(self) -> None:
        """Let a fault happen."""
        self.moments += 1
        assert self.moments < MOST_MOMENTS, "the study does not end"
        self.befall()

    def danger(self) -> None:
        """Let a fault happen to a coordinator. Raises CrashError where that ends it."""
        self.moment()
        if self.crashing:
            self.crashing = False
            raise CrashError
        self.between()

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        """Call `do` in `seconds`."""
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), do))

    def step(self, until: float) -> None:
        """Go on to the next event, or to `until` where nothing happens before."""
        if self._events and self._events[0][0] <= until:
            self.now, _, do = heapq.heappop(self._events)
            do()
        else:
            self.now = until

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        ends = self.now + seconds
        while self.now < ends:
            self.step(ends)

    # Hosts join and leave.

    def join(self, host: Host) -> Node:
        """Make the host a node of the cluster."""
        host.here = True
        node = Node(name=f"{host.name}-{next(self._numbers)}", host=host)
        self.nodes[node.name] = node
        return node

    def leave(self, host: Host, *, power: bool) -> None:
        """Take the host out of the cluster. Where its `power` fails, its agent dies; else only the network is cut."""
        host.here = False
        for name in [name for name, node in self.nodes.items() if node.host is host]:
            agent = self.nodes.pop(name).agent
            if agent is not None and power:
                agent.kill()
            elif agent is not None:
                agent.cut = True
        if power and host.lock is not None:
            host.lock.kill()

    def restart(self, host: Host) -> None:
        """Restart the host at once: all its processes end."""
        host.boot += 1
        for node in self.nodes.values():
            if node.host is host and node.agent is not None:
                node.agent.kill()
        if host.lock is not None:
            host.lock.kill()

    def agent_of(self, node: Node) -> Agent:
        """Return the agent of a node; start one where there is none."""
        if node.agent is None or not node.agent.alive or node.agent.cut:
            node.agent = Agent(self, node.host)
        return node.agent


class Agent:
    """One process on a host. It does one call at a time, in the order in which they arrive."""

    def __init__(self, world: World, host: Host) -> None:
        self.world, self.host = world, host
        self.alive = True
        self.cut = False
        """Whether nobody hears it any more; it finishes its call."""
        self._calls: deque[tuple[Caller, Call | None]] = deque()
        self._works = False

    def submit(self, caller: Caller, call: Call | None) -> None:
        """Queue a call; None is the hello."""
        self._calls.append((caller, call))
        self._go_on()

    def kill(self) -> None:
        """End it and its trial."""
        self.alive = False
        self._calls.clear()
        if self.host.lock is self:
            self.host.lock = None

    def waiting(self) -> tuple[str, ...]:
        """Return the attempts that it holds."""
        return tuple(self.host.shelf.waiting())

    def _go_on(self) -> None:
        if self.alive and not self._works and self._calls:
            self._works = True
            caller, call = self._calls.popleft()
            self.world.later(STEP_S, lambda: self._do(caller, call))

    def _do(self, caller: Caller, call: Call | None) -> None:
        if not self.alive:
            return
        try:
            self._obey(caller.command)
            if isinstance(call, Run):
                self._run(caller, call)
                return
            data = self.host.shelf.get(call.attempt_id) if isinstance(call, Fetch) else None
            if isinstance(call, Acknowledge):
                self._drop(call.attempt_ids)
        except JoulefleetError as error:
            self._answer(caller, call, error)
            return
        self._answer(caller, call, data)

    def _obey(self, command: Command) -> None:
        if self.world.now < self.host.full_until_s and command.epoch > self.host.heard_epoch:
            raise MachineError("nothing can be stored there.", cure="Make room.")
        self.host.shelf.obey(command.store_id, command.epoch)
        self.host.heard_epoch = max(self.host.heard_epoch, command.epoch)

    def _drop(self, attempt_ids: Iterable[str]) -> None:
        for attempt_id in attempt_ids:
            self.host.shelf.acknowledge(attempt_id)
            self.world.moment()
            if not self.alive:
                return

    def _run(self, caller: Caller, call: Run) -> None:
        host, trial = self.host, call.trial
        self._drop(call.acknowledged)
        if not self.alive:
            return
        if trial.attempt_id in host.shelf.waiting():
            self._answer(caller, call, host.shelf.get(trial.attempt_id))
            return
        if host.lock is not None or self.world.now < host.busy_until_s:
            raise BusyError("this machine is busy.", cure="Wait.")
        host.lock = self
        epoch = caller.command.epoch
        assert epoch >= host.heard_epoch, "an agent obeyed a coordinator that another had superseded"
        assert trial.attempt_id not in host.durable, "a finished attempt was measured again"
        untried = self.world.untried(trial)
        self.world.starts.append(Start(trial=trial, machine_id=host.machine_id, epoch=epoch, untried=untried))
        self.world.later(TRIAL_S, lambda: self._measured(caller, call))

    def _measured(self, caller: Caller, call: Run) -> None:
        host, trial = self.host, call.trial
        if not self.alive:
            return
        assert host.lock is self, "two trials ran on one machine"
        if str(trial.cell) == self.world.deadly:
            self.world.restart(host)
            return
        ail = host.ails.popleft() if host.ails else ""
        self.world.moment()
        if not self.alive:
            return
        if ail == "kill before":
            self.kill()
            return
        host.lock = None
        if self.world.now < host.full_until_s:
            self._answer(caller, call, MachineError("the disk is full.", cure="Make room."))
            return
        reason = ail.removeprefix("fail: ") if ail.startswith("fail: ") else None
        if str(trial.cell) == self.world.sick:
            reason = "exception"
        host.ended_s[trial.attempt_id] = self.world.now
        host.durable[trial.attempt_id] = data = host.shelf.put(
            SimulatedOutcome(
                trial=trial,
                machine_id=host.machine_id,
                boot_id=host.boot_id,
                started_s=self.world.now + host.clock_off_s - TRIAL_S,
                wall_s=TRIAL_S,
                reason=reason,
            )
        )
        self.world.moment()
        if ail == "kill after":
            self.kill()
        elif ail == "called twice":
            self._calls.appendleft((caller, call))
        if self.alive:
            self._answer(caller, call, data, times=2 if ail == "answered twice" else 1)

    def _answer(
        self, caller: Caller, call: Call | None, answer: bytes | JoulefleetError | None, *, times: int = 1
    ) -> None:
        self._works = False
        if self.cut:
            self.kill()
            return
        if self.host.hangs and not isinstance(call, Prepare | None):
            self.host.hangs, times = False, 0
        for _ in range(times):
            if call is None:
                caller.heard(self, None, answer if isinstance(answer, JoulefleetError) else None)
            elif isinstance(answer, JoulefleetError):
                caller.heard(self, call, CallResult(node="", call=call, error=answer))
            else:
                caller.heard(self, call, CallResult(node="", call=call, data=answer))
        self._go_on()
