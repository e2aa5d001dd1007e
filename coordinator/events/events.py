"""What happens in a campaign, as one record for each kind of event. `text` renders them."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.scheduling.attempt import AttemptFact
from joulefleet.plan.trial import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineJoined:
    """A machine takes part, for the first time or again."""

    machine: str
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockDiffers:
    """A machine's time of day is not the coordinator's."""

    machine: str
    ahead_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRefused:
    """A node takes no part."""

    node: str
    why: str
    cure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineLeft:
    """A machine or its agent is gone; it may come back."""

    machine: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineBusy:
    """Somebody else measures on the machine; it is asked again."""

    machine: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSetAside:
    """A machine takes no further part in this run."""

    machine: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineDone:
    """Nothing is left to do for a machine."""

    machine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparing:
    """A machine prepares weights or items."""

    machine: str
    what: str
    number: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFixed:
    """The plan of a place (a machine, or a class of machines) is known: its pilots have fixed the passes."""

    place: str
    total: int
    done: int
    """Number of trials that were done before."""
    obsolete: int
    """Number of attempts in the store that were measured in another way than the study now asks for."""
    expected_s: float
    """Time that the other trials take, seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockStarted:
    """A machine begins a block, or goes on with one."""

    machine: str
    number: int
    total: int
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialStarted:
    """A trial or a pilot is sent to an agent."""

    machine: str
    trial: Trial
    number: int
    total: int
    left_s: float | None
    """Time that the trials of its place still take, seconds; None for a pilot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialEnded:
    """The row of a trial is in the store."""

    machine: str
    trial: Trial
    outcome: AttemptFact
    number: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialLost:
    """The agent of a trial was lost and has no row of it: the trial runs again."""

    machine: str
    trial: Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """An attempt of an earlier run was still in an outbox and is in the store now."""

    machine: str
    attempt_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalled:
    """The run cannot go on for the moment: the store cannot be written, or no machine is there."""

    message: str


MachineEvent = (
    MachineJoined
    | ClockDiffers
    | MachineLeft
    | MachineBusy
    | MachineSetAside
    | MachineDone
    | Preparing
    | BlockStarted
    | TrialStarted
    | TrialEnded
    | TrialLost
    | Collected
)
"""An event of one machine that takes part."""

Event = MachineEvent | MachineRefused | PlanFixed | Stalled
