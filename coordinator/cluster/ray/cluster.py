"""A cluster of Ray: one agent on every node that measures, pinned there and found again by its name."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent.service import AgentHello
from coordinator.cluster.interface import Call, CallResult, Command, Deferred, Joined, Left, MembershipChange, Refused
from coordinator.cluster.ray.overhead import CoordinatorProcess
from coordinator.cluster.ray.session import connect, leave_without_head, start_embedded
from coordinator.cluster.ray.settings import AGENT_RESOURCE, NAMESPACE
from joulefleet.errors import BusyError, JoulefleetError, SupersededError

LOOK_EVERY_S = 2.0
"""Time between two questions to Ray which nodes there are, seconds. One takes a millisecond."""

HEAD_PATIENCE_S = 20.0
"""Time after which a head that is away is given up, seconds. Ray itself would end this process after a minute."""

ASK_AGAIN_S = 30.0
"""Time after which an agent that could not take part is asked again, seconds."""

END_S = 5.0
"""Time that agents have to end by themselves, seconds."""

MOST_EARLY_DEATHS = 3
"""Number of deaths before its hello after which a node's agent is not started again."""

MOST_UNREACHABLE = 10
"""Number of calls in succession, `LOOK_EVERY_S` apart, that did not reach an agent before its node is refused."""

_OPEN_PORTS = (
    "Let agents and coordinators reach each other in both directions: ports B+10 to B+29, 6389 to 6408 by default, "
    "of both machines. Then restart its node: joulefleet node down, joulefleet node up."
)

_INSTALL = (
    "Install Joulefleet there in the versions of this machine, then restart its node: "
    "joulefleet node down, joulefleet node up."
)


@dataclass(slots=True, kw_only=True)
class _Node:
    """A node that measures, and its agent."""

    name: str
    node_id: str
    agent: Any = None
    """Ray's handle of the actor."""
    reference: Any = None
    """Ray's reference to the answer that is waited for; None where the agent is idle."""
    call: Call | None = None
    """The call that it will answer; None where that is its hello."""
    joined: bool = False
    barred: bool = False
    """Whether it was refused or dismissed: no agent is started there."""
    not_before_s: float = 0.0
    """When it is asked again, by the monotonic clock; 0 where it was not deferred."""
    why_deferred: str | None = None
    early_deaths: int = 0
    unreachable: int = 0
    """Number of calls in succession that did not reach its agent, or whose answer did not come back."""


class RayCluster:
    """A `Cluster` of Ray: embedded on this machine, or the one whose head is at `address` (HOST:PORT).

    It asks Ray which nodes there are and starts an agent on each node that has the agent's resource. Agents are
    detached actors with a name: those of a coordinator that died finish their trials, and the next coordinator finds
    them. Ray restarts and repeats nothing: whether a trial runs again is the campaign's decision. Everything happens
    in the calling thread.

    The constructor raises MachineError where there is no such cluster. Once the head is gone, `close` leaves the
    process to end without Ray.
    """

    def __init__(
        self, command: Command, address: str | None = None, *, head_patience_s: float = HEAD_PATIENCE_S
    ) -> None:
        self._command = command
        self._in_fleet = address is not None
        self._ray, self._head = (
            start_embedded(gone_after_s=head_patience_s)
            if address is None
            else connect(address, gone_after_s=head_patience_s)
        )
        self._here = CoordinatorProcess.here()
        self._nodes: dict[str, _Node] = {}
        self._changes: list[MembershipChange] = []
        self._answers: list[CallResult] = []
        self._next_look_s = 0.0

    def changes(self) -> Sequence[MembershipChange]:
        """See `Cluster`."""
        self._look()
        self._collect(timeout_s=0)
        changes, self._changes = self._changes, []
        return changes

    def expecting(self) -> bool:
        """See `Cluster`."""
        return any(
            node.reference is not None or (node.not_before_s and not node.barred)
            for node in self._nodes.values()
            if not node.joined
        )

    def start(self, node: str, call: Call) -> None:
        """See `Cluster`."""
        known = self._nodes.get(node)
        if known is None or not known.joined or known.reference is not None:
            self._answers.append(CallResult(node=node, call=call, lost="its agent is not there"))
            return
        known.call = call
        known.reference = known.agent.obey.remote(call, self._command)

    def answers(self, timeout_s: float) -> Sequence[CallResult]:
        """See `Cluster`."""
        ends_s = time.monotonic() + timeout_s
        while True:
            self._look()
            now_s = time.monotonic()
            has_news = bool(self._answers or self._changes)
            self._collect(timeout_s=0 if has_news else max(0.0, min(ends_s, self._next_look_s) - now_s))
            if self._answers or self._changes or time.monotonic() >= ends_s:
                break
        answers, self._answers = self._answers, []
        return answers

    def restart(self, node: str) -> None:
        """See `Cluster`."""
        known = self._nodes.get(node)
        if known is not None and not known.barred:
            self._end_agent(known, "its agent was ended")
            self._next_look_s = 0.0

    def dismiss(self, node: str) -> None:
        """See `Cluster`."""
        known = self._nodes.get(node)
        if known is not None:
            known.joined, known.barred = False, True
            self._end_agent(known, "its agent was dismissed")

    def defer(self, node: str) -> None:
        """See `Cluster`."""
        known = self._nodes.get(node)
        if known is not None:
            known.joined, known.not_before_s = False, time.monotonic() + ASK_AGAIN_S

    def abandon(self) -> None:
        """See `Cluster`."""
        self._nodes.clear()
        # No more looks either: the agents belong to another coordinator.
        self._next_look_s = float("inf")

    def close(self) -> None:
        """See `Cluster`."""
        nodes, self._nodes = self._nodes, {}
        if not self._head.is_there():
            leave_without_head()
            return
        ending = []
        for node in nodes.values():
            if node.joined and node.call is not None:
                self._kill(node)
            elif node.agent is not None:
                # Not killed: it may be in a trial of an earlier run, or another coordinator may have taken it over.
                ending.append(node.agent.end.remote(self._command))
        idle = sum(node.joined and node.call is None for node in nodes.values())
        if idle:
            self._ray.wait(ending, num_returns=idle, timeout=END_S)
        self._ray.shutdown()

    def agent_class(self) -> type[Any]:
        """Return the class of the actor on each node, as `AgentActor`."""
        from coordinator.cluster.ray.actor import AgentActor

        return AgentActor

    # Nodes.

    def _look(self) -> None:
        """Ask Ray for the nodes if it is time: note those that are gone, and start agents where one is missing."""
        now_s = time.monotonic()
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + LOOK_EVERY_S
        nodes = self._head.nodes()
        if nodes is None:
            return
        alive = {_name(node): node for node in nodes if node["Alive"] and AGENT_RESOURCE in node["Resources"]}
        gone = [name for name in self._nodes if name not in alive]
        if gone:
            # Answers that came before the node went count.
            self._collect(timeout_s=0)
        for name in gone:
            self._end_agent(self._nodes.pop(name), "the node left the cluster")
        for name, entry in alive.items():
            node = self._nodes.setdefault(name, _Node(name=name, node_id=entry["NodeID"]))
            if not (node.barred or node.joined) and node.reference is None and now_s >= node.not_before_s:
                self._start_agent(node)

    def _start_agent(self, node: _Node) -> None:
        """Start the node's agent, or find it by its name, and ask who it is."""
        actor = self._ray.remote(num_cpus=0, resources={AGENT_RESOURCE: 1}, max_restarts=0, max_task_retries=0)
        options = actor(self.agent_class()).options(
            name=f"agent-{node.node_id}",
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            label_selector={"ray.io/node-id": node.node_id},
        )
        node.agent = options.remote(in_fleet=self._in_fleet)
        node.reference = node.agent.hello.remote(self._command, self._here)

    # Answers.

    def _collect(self, *, timeout_s: float) -> None:
        """Take the answers that have come; wait for the first one."""
        waiting = {node.reference: node for node in self._nodes.values() if node.reference is not None}
        if not waiting:
            time.sleep(timeout_s)
            return
        ready, _ = self._ray.wait(list(waiting), num_returns=1, timeout=timeout_s)
        if ready and len(waiting) > 1:
            ready, _ = self._ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
        for reference in ready:
            self._take_answer(waiting[reference])

    def _take_answer(self, node: _Node) -> None:
        exceptions, call = self._ray.exceptions, node.call
        try:
            answer = self._ray.get(node.reference)
        except exceptions.RayTaskError as error:
            if call is not None:
                # The agent returns failures as values, so this is a bug, with its traceback.
                raise
            self._refuse(node, why=f"its agent could not say who it is ({_last_line(error)})", cure=_INSTALL)
            return
        except exceptions.ActorUnavailableError as error:
            self._note_unreachable(node, _last_line(error))
            return
        except exceptions.RayError as error:
            self._note_death(node, error)
            return
        node.reference, node.call = None, None
        if call is None:
            self._take_hello(node, answer)
        elif isinstance(answer, JoulefleetError):
            self._answers.append(CallResult(node=node.name, call=call, error=answer))
        else:
            self._answers.append(CallResult(node=node.name, call=call, data=answer))

    def _take_hello(self, node: _Node, hello: AgentHello | JoulefleetError) -> None:
        if isinstance(hello, SupersededError):
            self.abandon()
            raise hello
        if isinstance(hello, BusyError):
            why = " ".join(hello.problems)
            if node.why_deferred != why:
                node.why_deferred = why
                self._changes.append(Deferred(node=node.name, why=why))
            self.defer(node.name)
        elif isinstance(hello, JoulefleetError):
            self._refuse(node, why=" ".join(hello.problems), cure=hello.cure)
        else:
            node.joined, node.early_deaths, node.unreachable = True, 0, 0
            node.not_before_s, node.why_deferred = 0.0, None
            self._changes.append(Joined(node=node.name, hello=hello))

    def _note_unreachable(self, node: _Node, why: str) -> None:
        """Count a call that failed on the network. The agent may be in a trial and keep its row: it is asked again."""
        node.unreachable += 1
        if node.unreachable >= MOST_UNREACHABLE:
            self._refuse(node, why=f"its agent cannot be reached ({why})", cure=_OPEN_PORTS)
        else:
            self._drop_call(node, why)

    def _note_death(self, node: _Node, error: Exception) -> None:
        """Count an agent whose process or node has died."""
        why = _last_line(error)
        node.early_deaths += not node.joined
        if getattr(error, "actor_init_failed", False):
            self._refuse(node, why=f"its agent cannot start ({why})", cure=_INSTALL)
        elif node.early_deaths >= MOST_EARLY_DEATHS:
            self._refuse(node, why=f"its agent died {node.early_deaths} times as it started ({why})", cure=_INSTALL)
        else:
            self._end_agent(node, why)

    def _refuse(self, node: _Node, *, why: str, cure: str) -> None:
        node.barred = True
        self._end_agent(node, why)
        self._changes.append(Refused(node=node.name, why=why, cure=cure))

    def _end_agent(self, node: _Node, why: str) -> None:
        """End the agent if there still is one; its call is lost."""
        self._drop_call(node, why)
        self._kill(node)

    def _drop_call(self, node: _Node, why: str) -> None:
        """Wait for no answer of the agent any more, and note what is lost."""
        if node.joined:
            self._changes.append(Left(node=node.name, why=why))
        if node.call is not None:
            self._answers.append(CallResult(node=node.name, call=node.call, lost=why))
        node.joined, node.reference, node.call = False, None, None

    def _kill(self, node: _Node) -> None:
        if node.agent is not None:
            self._ray.kill(node.agent, no_restart=True)
            node.agent = None


def _name(node: dict[str, Any]) -> str:
    """Return a node's name for people, unlike that of any other: a node that comes back has another id."""
    return f"{node['NodeManagerHostname']}-{node['NodeID'][:8]}"


def _last_line(error: Exception) -> str:
    """Return the last line of Ray's message, where the reason stands, shortened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
