"""How long, and for which machines, a run waits once the machines that are there have nothing to do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from coordinator.events.events import Event, Stalled
from coordinator.scheduling.attempt import AttemptFact
from coordinator.scheduling.place import Place
from joulefleet.errors import MachineError
from joulefleet.plan.design import Design

NOTICE_S = 10.0
"""Time after which a wait for agents' hellos is reported, seconds: a new agent needs some seconds for its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitLimits:
    """How long to wait for what may come back, seconds."""

    first_machine_s: float = 60.0
    absent_machines_s: float = 120.0
    """Longest wait for machines that have left, once all others are done, seconds."""
    store_s: float = 60.0
    """Longest time for which a failed write to the store is repeated, seconds."""


class Waiting:
    """Measures the time in which no machine does anything, and reports what is waited for.

    The campaign calls `has_expired` in each turn of its loop in which every agent is idle, and `reset` in any other.
    `longest_s` is the longest time that a trial may take, seconds.
    """

    def __init__(
        self,
        limits: WaitLimits,
        *,
        longest_s: float,
        monotonic: Callable[[], float],
        on_event: Callable[[Event], None],
    ) -> None:
        self._limits = limits
        self._longest_s = longest_s
        self._monotonic = monotonic
        self._on_event = on_event
        self._since_s: float | None = None
        self._reported = False

    def reset(self) -> None:
        """Start anew: something happens again."""
        self._since_s, self._reported = None, False

    def has_expired(self, *, has_members: bool, absent: Sequence[str], expecting: bool) -> bool:
        """Tell whether the run has waited long enough. Raises MachineError where no machine has come at all.

        `has_members` says whether a machine ever joined, `absent` names those to wait for, and `expecting` says
        whether an agent was asked who it is and has not answered.
        """
        now_s = self._monotonic()
        if self._since_s is None:
            self._since_s = now_s
            if absent:
                self._on_event(Stalled(message=f"waiting for {', '.join(absent)} to come back"))
            elif not has_members:
                self._on_event(Stalled(message="waiting for a machine to join"))
        waited_s = now_s - self._since_s
        if expecting and waited_s < self._longest_s:
            self._report_expected(waited_s)
            return False
        if has_members:
            return not absent or waited_s >= self._limits.absent_machines_s
        if waited_s >= self._limits.first_machine_s:
            raise MachineError(
                f"no machine has joined within {waited_s:.0f} s.",
                cure="Start one with `joulefleet node up --join ADDRESS`, and look at what was refused above.",
            )
        return False

    def _report_expected(self, waited_s: float) -> None:
        if waited_s < NOTICE_S or self._reported:
            return
        self._reported = True
        message = (
            "waiting for agents that were asked who they are: they may still be in a trial of an earlier run, which "
            f"may take {self._longest_s / 60:.0f} min"
        )
        self._on_event(Stalled(message=message))


class ExpectedMachines:
    """Machines of earlier runs that have trials left: a run waits for them as for machines that have left it.

    Those that do not come are named, but their trials are not counted: they may be gone for good. `known` are the
    machines of earlier runs, id to name.
    """

    def __init__(self, known: Mapping[str, str], facts: Iterable[AttemptFact], design: Design) -> None:
        by_place: dict[str, list[AttemptFact]] = {machine_id: [] for machine_id in known}
        for fact in facts:
            if fact.place in by_place:
                by_place[fact.place].append(fact)
        self._unfinished = {
            machine_id: known[machine_id]
            for machine_id, attempts in by_place.items()
            if not Place(name=machine_id, design=design, facts=attempts).finished()
        }

    def missing(self, members: Collection[str]) -> list[str]:
        """Return the names of those whose ids are not among `members`."""
        return [name for machine_id, name in self._unfinished.items() if machine_id not in members]
