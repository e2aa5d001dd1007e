"""What a cluster is to a campaign: nodes, each with an agent that does one call at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.service import AgentHello
from joulefleet.errors import JoulefleetError
from joulefleet.plan.trial import ResolvedModel, ResolvedTask, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """The coordinator that sends the calls: its store and its epoch.

    An agent obeys the coordinator with the highest epoch of a store that it has seen.
    """

    store_id: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """Prepare weights and items."""

    work: tuple[tuple[ResolvedModel, ResolvedTask], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Drop the acknowledged attempts, then measure `trial`. Answered with the row's file."""

    trial: Trial
    acknowledged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Hand over one finished attempt. Answered with the row's file."""

    attempt_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledge:
    """Drop these attempts from the outbox: the store has them."""

    attempt_ids: tuple[str, ...]


Call = Prepare | Run | Fetch | Acknowledge


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The agent of a node is there and idle, for the first time or again."""

    node: str
    hello: AgentHello


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A node cannot have an agent."""

    node: str
    why: str
    cure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A node or its agent is gone. If it had a call, that call is answered as lost, before or after this change."""

    node: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """The agent of a node cannot take part just now; it is asked again later."""

    node: str
    why: str


MembershipChange = Joined | Refused | Left | Deferred


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """The answer to a call: one of data, error and lost, or none of them where a call has nothing to return."""

    node: str
    call: Call
    data: bytes | None = None
    """File of a row, for Run and Fetch."""
    error: JoulefleetError | None = None
    """Why the agent could not do the call at all: the machine is busy, its disk full, the epoch superseded."""
    lost: str | None = None
    """How the infrastructure failed. What became of the trial is unknown until the agent has joined again."""


class Cluster(Protocol):
    """The nodes of a fleet and their agents. It carries out what a campaign decides, and decides nothing itself.

    One campaign drives it from one thread, in turns: it takes `changes`, hands each idle agent at most one call with
    `start`, and takes `answers`. A node is known by the name in `Joined`, until `Left`. Only `answers` waits.

    `changes` and `answers` raise MachineError once the cluster itself is gone, and SupersededError where an agent
    obeys a newer coordinator; nothing but `close` may be called after that. The other methods raise nothing, and do
    nothing for a node that is gone. Whoever made the cluster calls `close`.
    """

    def changes(self) -> Sequence[MembershipChange]:
        """Return what has changed since the last call."""
        ...

    def expecting(self) -> bool:
        """Tell whether an agent was asked who it is and has not answered yet, or will be asked again."""
        ...

    def start(self, node: str, call: Call) -> None:
        """Send `call` to the agent of `node`, which must be idle. If it is gone, the call is answered as lost."""
        ...

    def answers(self, timeout_s: float) -> Sequence[CallResult]:
        """Return the answers that have come; wait for the first one, or for a change, at most `timeout_s` seconds."""
        ...

    def restart(self, node: str) -> None:
        """End the agent of `node` and its trial at once; a new agent joins. Its call is answered as lost."""
        ...

    def dismiss(self, node: str) -> None:
        """End the agent of `node`, and start no other one there."""
        ...

    def defer(self, node: str) -> None:
        """Release the agent of `node`, which must be idle, and ask it again later who it is."""
        ...

    def abandon(self) -> None:
        """Release every agent without ending it: a newer coordinator commands them."""
        ...

    def close(self) -> None:
        """End at once what this cluster has started, and every agent that no other coordinator has commanded since.

        An agent that is still in a trial of an earlier run finishes it.
        """
        ...
