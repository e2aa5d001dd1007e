"""What a cluster is to the campaign: nodes, each with an agent that does one thing at a time.

A campaign drives it from one thread: it asks what has changed, hands every idle agent one call, and
takes the answers as they come. A cluster never decides what runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.service import AgentHello
from joulefleet.errors import JoulefleetError
from joulefleet.plan.trial import ResolvedModel, ResolvedTask, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """In whose name calls are made. An agent obeys the highest epoch of a store that it has heard of."""

    store_id: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """Get weights and items ready."""

    work: tuple[tuple[ResolvedModel, ResolvedTask], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Measure `trial`. What the store has durably leaves the outbox first. Answered with the row's file."""

    trial: Trial
    acknowledged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Hand over one finished attempt. Answered with the row's file."""

    attempt_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledge:
    """The store has these attempts: they leave the outbox."""

    attempt_ids: tuple[str, ...]


Call = Prepare | Run | Fetch | Acknowledge


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The agent of a node is there and idle, for the first time or anew."""

    node: str
    hello: AgentHello


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A node that has no agent, and why."""

    node: str
    why: str
    cure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A node, or its agent, has gone. A call that it had is answered as lost, before or after this."""

    node: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """A node whose agent cannot take part just now, and why; it is asked again by and by."""

    node: str
    why: str


MembershipChange = Joined | Refused | Left | Deferred


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """What became of a call: one of data, error and lost, or none of them where there is nothing to say."""

    node: str
    call: Call
    data: bytes | None = None
    """The file of a row, of Run and Fetch."""
    error: JoulefleetError | None = None
    """What could not be done at all: the machine is busy, its disk full, the epoch superseded."""
    lost: str | None = None
    """The infrastructure failed, not the trial: what became of it is unknown until the agent is asked again."""


class Cluster(Protocol):
    """Nodes and their agents. No method but `answers` waits."""

    def changes(self) -> Sequence[MembershipChange]:
        """What has changed since it was last asked. May be asked as often as one likes."""
        ...

    def expecting(self) -> bool:
        """Whether an agent was asked who it is, and has not answered yet."""
        ...

    def start(self, node: str, call: Call) -> None:
        """Hand `call` to the agent of `node`, which must be idle."""
        ...

    def answers(self, timeout_s: float) -> Sequence[CallResult]:
        """The calls that have ended; waits for the first, or for a change, at most `timeout_s` seconds."""
        ...

    def restart(self, node: str) -> None:
        """End the agent of `node` and what it runs, at once; a new one joins. Its call is answered as lost."""
        ...

    def dismiss(self, node: str) -> None:
        """End the agent of `node`, and start none there again."""
        ...

    def defer(self, node: str) -> None:
        """Let go of the agent of `node`, which is idle, and ask it again later who it is."""
        ...

    def abandon(self) -> None:
        """Let go of every agent without ending it: a newer coordinator commands them."""
        ...

    def close(self) -> None:
        """End what was started here, at once, and every agent that nobody else has commanded since.

        An agent that is still in a trial of an earlier run finishes it.
        """
        ...
