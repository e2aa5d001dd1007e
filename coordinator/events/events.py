"""What happens in a campaign, for whoever shows it."""

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
    """A node that takes no part, and why."""

    node: str
    why: str
    cure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineLeft:
    """A machine, or its agent, has gone; it may come back."""

    machine: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineBusy:
    """Somebody else measures there; it is asked again."""

    machine: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSetAside:
    """A machine that takes no further part in this run."""

    machine: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineDone:
    """Nothing is left to do for a machine."""

    machine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparing:
    """Weights or items are being made ready."""

    machine: str
    what: str
    number: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFixed:
    """The plan of a place (a machine, or a class of them) is known: pilots have told the passes."""

    place: str
    total: int
    done: int
    """Trials that were done before."""
    obsolete: int
    """Attempts in the store that were measured in another way than the study now asks for."""
    expected_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockStarted:
    """A block begins on a machine, or goes on."""

    machine: str
    number: int
    total: int
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialStarted:
    """A trial, or a pilot, was sent to an agent."""

    machine: str
    trial: Trial
    number: int
    total: int
    left_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialEnded:
    """It is in the store."""

    machine: str
    trial: Trial
    outcome: AttemptFact
    number: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialLost:
    """The agent was lost, and does not have the trial's row: it runs again."""

    machine: str
    trial: Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """An attempt of an earlier run was still in an outbox, and is in the store now."""

    machine: str
    attempt_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalled:
    """The run cannot go on for the moment, and why: the store cannot be written, no machine is there."""

    message: str


Event = (
    MachineJoined
    | ClockDiffers
    | MachineRefused
    | MachineLeft
    | MachineBusy
    | MachineSetAside
    | MachineDone
    | Preparing
    | PlanFixed
    | BlockStarted
    | TrialStarted
    | TrialEnded
    | TrialLost
    | Collected
    | Stalled
)
