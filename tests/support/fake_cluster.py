"""A cluster whose trials take no time. Its agents keep outboxes as real ones do."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pyarrow.parquet as pq

from agent.results.row import trial_columns
from agent.runner.discovery import Offer
from agent.service import AgentHello, versions
from coordinator.cluster.interface import Acknowledge, Call, CallResult, Fetch, Joined, Left, MembershipChange, Run
from joulefleet.errors import JoulefleetError
from joulefleet.machine import Machine
from joulefleet.plan.trial import Trial
from joulefleet.schema import attempt_table
from tests.support.attempt_rows import attempt_row

MACHINE = Machine(
    machine_id="machine",
    name="fake",
    cpu_model="fake",
    sockets=1,
    physical_cores=1,
    logical_cpus=1,
    memory_bytes=1,
    virtualised=False,
)

Before = Callable[[Trial, int], JoulefleetError | str | None]


@dataclass
class FakeAgent:
    """The agent of one node, with what it keeps when it dies."""

    node: str
    machine: Machine = MACHINE
    boot_id: str = "boot"
    outbox: dict[str, bytes] = field(default_factory=dict)
    call: Call | None = None

    def hello(self) -> AgentHello:
        """Return who it is and what it holds."""
        return AgentHello(
            machine=self.machine,
            boot_id=self.boot_id,
            hostname=self.machine.name,
            pid=1,
            versions=versions(),
            waiting=tuple(sorted(self.outbox)),
            offers=(Offer(label="bare", cpus=1, cpu_limit=None),),
            clock_s=time.time(),
        )


class FakeCluster:
    """A `Cluster` that calls `before(trial, start)` at each start of a trial, counted from 1.

    `before` may return an error of the agent, "failed", "lost" (the agent dies before the row is durable) or
    "lost after" (it dies once the row is durable).
    """

    def __init__(self, before: Before | None = None, *, machines: Sequence[str] = ("machine",)) -> None:
        self._before = before or (lambda trial, start: None)
        self.started: list[str] = []
        self.prepared = 0
        self.abandoned = False
        self.deferred: list[FakeAgent] = []
        self.agents = {
            f"node of {name}": FakeAgent(node=f"node of {name}", machine=replace(MACHINE, machine_id=name))
            for name in machines
        }
        self._changes: list[MembershipChange] = []
        self.reconnect()

    def reconnect(self) -> None:
        """Begin for another coordinator: calls that were under way are dropped, and every agent says hello to it."""
        for agent in self.agents.values():
            agent.call = None
        self._changes = [Joined(node=node, hello=agent.hello()) for node, agent in self.agents.items()]

    def join(self, agent: FakeAgent) -> None:
        """Let a machine join, for the first time or again."""
        self.agents[agent.node] = agent
        self._changes.append(Joined(node=agent.node, hello=agent.hello()))

    def leave(self, node: str, why: str = "unplugged") -> FakeAgent:
        """Let a machine leave; return its agent."""
        agent = self.agents.pop(node)
        agent.call = None
        self._changes.append(Left(node=node, why=why))
        return agent

    def changes(self) -> Sequence[MembershipChange]:
        """See `Cluster`."""
        changes, self._changes = self._changes, []
        return changes

    def expecting(self) -> bool:
        """See `Cluster`."""
        return False

    def start(self, node: str, call: Call) -> None:
        """See `Cluster`."""
        agent = self.agents[node]
        assert agent.call is None, f"{node} was given two calls"
        agent.call = call

    def answers(self, timeout_s: float) -> Sequence[CallResult]:
        """Answer every call at once."""
        answers = []
        for agent in list(self.agents.values()):
            call, agent.call = agent.call, None
            if call is not None:
                answers.append(self._answer(agent, call))
        return answers

    def restart(self, node: str) -> None:
        """See `Cluster`."""
        self.agents[node].call = None

    def dismiss(self, node: str) -> None:
        """See `Cluster`."""
        del self.agents[node]

    def defer(self, node: str) -> None:
        """Release the agent until `ask_again`."""
        self.deferred.append(self.agents.pop(node))

    def ask_again(self) -> None:
        """Let every agent that was deferred say hello again."""
        deferred, self.deferred = self.deferred, []
        for agent in deferred:
            self.join(agent)

    def abandon(self) -> None:
        """See `Cluster`."""
        self.abandoned = True

    def close(self) -> None:
        """See `Cluster`."""

    def _answer(self, agent: FakeAgent, call: Call) -> CallResult:
        match call:
            case Run(trial=trial, acknowledged=acknowledged):
                self._drop(agent, acknowledged)
                return self._run(agent, call, trial)
            case Fetch(attempt_id=attempt_id):
                return CallResult(node=agent.node, call=call, data=agent.outbox[attempt_id])
            case Acknowledge(attempt_ids=attempt_ids):
                self._drop(agent, attempt_ids)
            case _:
                self.prepared += 1
        return CallResult(node=agent.node, call=call)

    def _run(self, agent: FakeAgent, call: Run, trial: Trial) -> CallResult:
        self.started.append(trial.attempt_id)
        fate = self._before(trial, len(self.started))
        if isinstance(fate, JoulefleetError):
            return CallResult(node=agent.node, call=call, error=fate)
        if fate != "lost":
            agent.outbox[trial.attempt_id] = parquet_of(
                trial, agent.machine, failed=fate == "failed", boot_id=agent.boot_id
            )
        if fate in ("lost", "lost after"):
            self._changes += [Left(node=agent.node, why="died"), Joined(node=agent.node, hello=agent.hello())]
            return CallResult(node=agent.node, call=call, lost="died")
        return CallResult(node=agent.node, call=call, data=agent.outbox[trial.attempt_id])

    def _drop(self, agent: FakeAgent, attempt_ids: Sequence[str]) -> None:
        for attempt_id in attempt_ids:
            del agent.outbox[attempt_id]


def parquet_of(
    trial: Trial,
    machine: Machine = MACHINE,
    *,
    failed: bool = False,
    boot_id: str = "boot",
    started_at: datetime | None = None,
) -> bytes:
    """Return the row of a trial whose passes took half a second each, as a file."""
    row = attempt_row(
        **trial_columns(trial),
        machine_id=machine.machine_id,
        machine=machine.name,
        boot_id=boot_id,
        started_at=started_at or datetime.now(tz=UTC),
        wall_s=1.0,
        status="failed" if failed else "ok",
        reason="exception" if failed else None,
        window_s=None if failed else 0.5 * trial.protocol.passes,
    )
    buffer = io.BytesIO()
    pq.write_table(attempt_table(row), buffer)
    return buffer.getvalue()
