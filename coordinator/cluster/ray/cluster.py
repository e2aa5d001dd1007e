"""A fleet: one agent on every node of a Ray cluster that measures, pinned there, found again by name."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from agent.service import AgentHello
from coordinator.cluster.interface import Call, CallResult, Command, Deferred, Joined, Left, MembershipChange, Refused
from coordinator.cluster.ray.overhead import CoordinatorProcess
from coordinator.cluster.ray.probe import cluster_at
from coordinator.cluster.ray.session import Head, connect, leave_without_head, start_embedded
from coordinator.cluster.ray.settings import AGENT_RESOURCE, NAMESPACE
from joulefleet.errors import BusyError, JoulefleetError, MachineError, SupersededError

LOOK_EVERY_S = 2.0
"""How often Ray is asked which nodes there are: a look costs a millisecond."""

HEAD_PATIENCE_S = 20.0
"""A head that is away for so long does not come back in time: after a minute Ray ends this process."""

AGAIN_S = 30.0
"""After so long an agent that could not take part is asked again."""

END_S = 5.0
"""So long an agent has to end by itself."""

MOST_EARLY_DEATHS = 3
"""An agent that dies so often before it has said who it is will not say it the next time either."""

MOST_UNHEARD = 10
"""An agent that cannot be reached so often in succession, a look apart, is behind something that stays."""

_OPEN = (
    "Let agents and coordinators reach each other in both directions: ports B+10 to B+29, 6389 to 6408 by default, "
    "of both machines. Then restart its node: joulefleet node down, joulefleet node up."
)

_INSTALL = (
    "Install Joulefleet there in the versions of this machine, then restart its node: "
    "joulefleet node down, joulefleet node up."
)


@dataclass(slots=True, kw_only=True)
class _Node:
    """A node that measures. `call` is None while its agent is asked who it is."""

    name: str
    node_id: str
    agent: Any = None
    reference: Any = None
    call: Call | None = None
    joined: bool = False
    barred: bool = False
    """It was refused or dismissed: no agent is started there."""
    not_before_s: float = 0.0
    """When it is asked again, by the monotonic clock; 0 where it was not deferred."""
    why_deferred: str | None = None
    early_deaths: int = 0
    unheard: int = 0
    """How often in succession a call did not reach its agent, or the answer did not come back."""


class RayCluster:
    """See `Cluster`. Embedded on this machine, or the cluster whose head is at `address` (HOST:PORT).

    Raises MachineError where there is none; also later, from `changes` and `answers`, once the head
    has gone, and SupersededError where an agent obeys a newer coordinator.
    """

    def __init__(
        self, command: Command, address: str | None = None, *, head_patience_s: float = HEAD_PATIENCE_S
    ) -> None:
        self._command = command
        self._in_fleet = address is not None
        self._ray, cluster = (start_embedded(), None) if address is None else connect(address)
        self._head = Head(
            self._ray.get_runtime_context().gcs_address,
            gone_after_s=head_patience_s,
            nodes=self._ray.nodes,
            cluster=cluster,
            # An embedded head ends with this process: it never comes back.
            cluster_now=None if address is None else partial(cluster_at, address),
        )
        self._headless = False
        self._here = CoordinatorProcess.here()
        self._nodes: dict[str, _Node] = {}
        self._changes: list[MembershipChange] = []
        self._answers: list[CallResult] = []
        self._next_look_s = 0.0

    def changes(self) -> Sequence[MembershipChange]:
        """See `Cluster`."""
        self._look()
        self._take(timeout_s=0)
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
        found = self._nodes.get(node)
        if found is None or not found.joined or found.reference is not None:
            self._answers.append(CallResult(node=node, call=call, lost="its agent is not there"))
            return
        found.call = call
        found.reference = found.agent.obey.remote(call, self._command)

    def answers(self, timeout_s: float) -> Sequence[CallResult]:
        """See `Cluster`."""
        ends = time.monotonic() + timeout_s
        while True:
            self._look()
            now = time.monotonic()
            waits = not (self._answers or self._changes)
            self._take(timeout_s=max(0.0, min(ends, self._next_look_s) - now) if waits else 0)
            if self._answers or self._changes or time.monotonic() >= ends:
                break
        answers, self._answers = self._answers, []
        return answers

    def restart(self, node: str) -> None:
        """See `Cluster`."""
        found = self._nodes.get(node)
        if found is not None and not found.barred:
            self._lose(found, "its agent was ended")
            self._next_look_s = 0.0

    def dismiss(self, node: str) -> None:
        """See `Cluster`."""
        found = self._nodes.get(node)
        if found is not None:
            found.joined, found.barred = False, True
            self._lose(found, "its agent was dismissed")

    def defer(self, node: str) -> None:
        """See `Cluster`."""
        found = self._nodes.get(node)
        if found is not None:
            self._postpone(found)

    def abandon(self) -> None:
        """See `Cluster`."""
        self._nodes.clear()
        # And look no more: what is there belongs to another.
        self._next_look_s = float("inf")

    def close(self) -> None:
        """See `Cluster`."""
        nodes, self._nodes = self._nodes, {}
        if self._headless or not self._head.there():
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

    # who is there

    def _look(self) -> None:
        """Start an agent where one should be, and note which nodes have gone."""
        now = time.monotonic()
        if now < self._next_look_s:
            return
        self._next_look_s = now + LOOK_EVERY_S
        try:
            nodes = self._head.nodes()
        except MachineError:
            # Nothing must be asked of it again, not even the end of an agent: no answer would come.
            self._headless = True
            raise
        if nodes is None:
            return
        alive = {_name(node): node for node in nodes if node["Alive"] and AGENT_RESOURCE in node["Resources"]}
        gone = [name for name in self._nodes if name not in alive]
        if gone:
            # What they said before they went counts.
            self._take(timeout_s=0)
        for name in gone:
            self._lose(self._nodes.pop(name), "the node left the cluster")
        for name, found in alive.items():
            node = self._nodes.setdefault(name, _Node(name=name, node_id=found["NodeID"]))
            if not (node.barred or node.joined) and node.reference is None and now >= node.not_before_s:
                self._greet(node)

    def agent_class(self) -> type[Any]:
        """What runs on a node: has `hello` and `obey`."""
        from coordinator.cluster.ray.actor import AgentActor

        return AgentActor

    def _greet(self, node: _Node) -> None:
        # No restarts and no task retries: whether a trial runs again is the coordinator's to say. Detached and
        # named: the agent of a coordinator that died finishes its trial, and is found here with its row.
        remote = self._ray.remote(num_cpus=0, resources={AGENT_RESOURCE: 1}, max_restarts=0, max_task_retries=0)
        node.agent = (
            remote(self.agent_class())
            .options(
                name=f"agent-{node.node_id}",
                namespace=NAMESPACE,
                lifetime="detached",
                get_if_exists=True,
                label_selector={"ray.io/node-id": node.node_id},
            )
            .remote(in_fleet=self._in_fleet)
        )
        node.reference = node.agent.hello.remote(self._command, self._here)

    # what they say

    def _take(self, *, timeout_s: float) -> None:
        """Take what has come; wait for the first of it."""
        waiting = {node.reference: node for node in self._nodes.values() if node.reference is not None}
        if not waiting:
            time.sleep(timeout_s)
            return
        ready, _ = self._ray.wait(list(waiting), num_returns=1, timeout=timeout_s)
        if ready and len(waiting) > 1:
            ready, _ = self._ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
        for reference in ready:
            self._heard(waiting[reference])

    def _heard(self, node: _Node) -> None:
        exceptions = self._ray.exceptions
        reference, call = node.reference, node.call
        try:
            said = self._ray.get(reference)
        except exceptions.RayTaskError as error:
            if call is not None:
                # The agent returns failures as values, so this is a bug of ours, with its traceback.
                raise
            self._refuse(node, why=f"its agent could not say who it is ({_last_line(error)})", cure=_INSTALL)
            return
        except exceptions.ActorUnavailableError as error:
            self._unheard(node, error)
            return
        except exceptions.RayError as error:
            self._died(node, error)
            return
        node.reference, node.call = None, None
        if call is None:
            self._greeted(node, said)
        elif isinstance(said, JoulefleetError):
            self._answers.append(CallResult(node=node.name, call=call, error=said))
        else:
            self._answers.append(CallResult(node=node.name, call=call, data=said))

    def _greeted(self, node: _Node, said: AgentHello | JoulefleetError) -> None:
        if isinstance(said, SupersededError):
            self.abandon()
            raise said
        if isinstance(said, BusyError):
            why = " ".join(said.problems)
            if node.why_deferred != why:
                node.why_deferred = why
                self._changes.append(Deferred(node=node.name, why=why))
            self._postpone(node)
            return
        if isinstance(said, JoulefleetError):
            self._refuse(node, why=" ".join(said.problems), cure=said.cure)
            return
        node.joined, node.early_deaths, node.unheard = True, 0, 0
        node.not_before_s, node.why_deferred = 0.0, None
        self._changes.append(Joined(node=node.name, hello=said))

    def _unheard(self, node: _Node, error: Exception) -> None:
        """The way to the agent failed, or back. It may be in a trial, whose row it will have: it is asked again."""
        why = _last_line(error)
        node.unheard += 1
        if node.unheard >= MOST_UNHEARD:
            self._refuse(node, why=f"its agent cannot be reached ({why})", cure=_OPEN)
            return
        self._give_up(node, why)

    def _died(self, node: _Node, error: Exception) -> None:
        """The infrastructure failed: the process, or the node."""
        why = _last_line(error)
        if getattr(error, "actor_init_failed", False):
            self._refuse(node, why=f"its agent cannot start ({why})", cure=_INSTALL)
            return
        node.early_deaths += not node.joined
        if node.early_deaths >= MOST_EARLY_DEATHS:
            self._refuse(node, why=f"its agent died {node.early_deaths} times as it started ({why})", cure=_INSTALL)
            return
        self._lose(node, why)

    def _refuse(self, node: _Node, *, why: str, cure: str) -> None:
        node.barred = True
        self._lose(node, why)
        self._changes.append(Refused(node=node.name, why=why, cure=cure))

    def _lose(self, node: _Node, why: str) -> None:
        """End its agent, if there still is one, and say what is lost with it."""
        self._give_up(node, why)
        self._kill(node)

    def _give_up(self, node: _Node, why: str) -> None:
        """No answer of its agent is waited for any more."""
        if node.joined:
            self._changes.append(Left(node=node.name, why=why))
        if node.call is not None:
            self._answers.append(CallResult(node=node.name, call=node.call, lost=why))
        node.joined, node.reference, node.call = False, None, None

    def _postpone(self, node: _Node) -> None:
        """Let go of its agent without ending it, and ask it again later."""
        node.joined, node.not_before_s = False, time.monotonic() + AGAIN_S

    def _kill(self, node: _Node) -> None:
        if node.agent is not None:
            self._ray.kill(node.agent, no_restart=True)
            node.agent = None


def _name(node: dict[str, Any]) -> str:
    """For people, and one of its own: a node that comes back has another id."""
    return f"{node['NodeManagerHostname']}-{node['NodeID'][:8]}"


def _last_line(error: Exception) -> str:
    """What Ray says at the end of its message, where the reason stands; no more than a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
