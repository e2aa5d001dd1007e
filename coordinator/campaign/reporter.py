"""Reports plans, blocks and trials as events, with how much is done and left."""

from __future__ import annotations

from collections.abc import Callable

from coordinator.campaign.agent_session import AgentSession
from coordinator.events.events import BlockStarted, Event, PlanFixed, Preparing, TrialEnded, TrialStarted
from coordinator.scheduling.attempt import AttemptFact
from coordinator.scheduling.place import Place
from coordinator.scheduling.scheduler import Assignment, Scheduler
from joulefleet.plan.trial import Trial


class Reporter:
    """Makes events of what the campaign does, with the scheduler's counts.

    The campaign owns it. It reads the scheduler and changes nothing, so `trial_ended` comes after the scheduler was
    told of the attempt. Raises what `on_event` raises.
    """

    def __init__(self, scheduler: Scheduler, on_event: Callable[[Event], None]) -> None:
        self._scheduler = scheduler
        self._on_event = on_event

    def preparing(self, session: AgentSession, name: str) -> None:
        """Report the files that a machine is about to prepare."""
        number, total = session.prepared + 1, session.to_prepare_in_all
        self._on_event(Preparing(machine=session.name, what=name, number=number, total=total))

    def plan_fixed(self, place: Place, *, name: str) -> None:
        """Report what `place` measures, and how much of that is done."""
        tally = place.tally()
        self._on_event(
            PlanFixed(
                place=name,
                total=place.planned,
                done=tally.ok + tally.failed,
                obsolete=place.obsolete,
                expected_s=place.expected_s(),
            )
        )

    def block_started(self, session: AgentSession, assignment: Assignment) -> None:
        """Report that a machine begins a block, or goes on with one."""
        total = self._scheduler.design.repetitions
        self._on_event(BlockStarted(machine=session.name, number=assignment.block, total=total, round=assignment.round))

    def trial_started(self, session: AgentSession, trial: Trial) -> None:
        """Report a trial that is about to be sent."""
        number, total = self._count(trial, ended=False)
        left_s = self._scheduler.places[trial.place].expected_s() if trial.kind == "trial" else None
        self._on_event(TrialStarted(machine=session.name, trial=trial, number=number, total=total, left_s=left_s))

    def trial_ended(self, session: AgentSession, trial: Trial, outcome: AttemptFact) -> None:
        """Report a trial of this run that has ended."""
        number, total = self._count(trial, ended=True)
        self._on_event(TrialEnded(machine=session.name, trial=trial, outcome=outcome, number=number, total=total))

    def _count(self, trial: Trial, *, ended: bool) -> tuple[int, int]:
        """Return the number of the trial at its place, from 1, and of how many."""
        place = self._scheduler.places[trial.place]
        if trial.kind == "pilot":
            total = len(self._scheduler.design.cells)
            done = total - place.pilots_left
        else:
            tally, total = place.tally(), place.planned
            done = tally.ok + tally.failed
        # A failed attempt that will be repeated has ended, but no trial is done by it.
        return min(total, max(1, done if ended else done + 1)), total
