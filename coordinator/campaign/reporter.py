"""What is told of plans, blocks and trials, with how much is done and left."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from coordinator.campaign.agent_session import Desk
from coordinator.events.events import BlockStarted, Event, PlanFixed, TrialEnded, TrialStarted
from coordinator.scheduling.attempt import AttemptFact
from coordinator.scheduling.place import Place
from coordinator.scheduling.scheduler import Assignment, Scheduler
from joulefleet.plan.design import Design
from joulefleet.plan.trial import Trial


class Account:
    """Counts by the scheduler, and tells."""

    def __init__(
        self, scheduler: Scheduler, design: Design, names: Mapping[str, str], tell: Callable[[Event], None]
    ) -> None:
        self._scheduler = scheduler
        self._design = design
        self._names = names
        self._tell = tell

    def plan_fixed(self, place: Place) -> None:
        """It is known what `place` measures, and how much of that is done."""
        tally = place.tally()
        self._tell(
            PlanFixed(
                place=self._names[place.name],
                total=place.planned,
                done=tally.ok + tally.failed,
                obsolete=place.obsolete,
                expected_s=place.expected_s(),
            )
        )

    def started(self, desk: Desk, assignment: Assignment, trial: Trial) -> None:
        """A trial begins, and perhaps a block with it."""
        block = (assignment.block, assignment.round)
        if assignment.kind == "trial" and desk.block != block:
            desk.block = block
            self._tell(
                BlockStarted(
                    machine=desk.name,
                    number=assignment.block,
                    total=self._design.repetitions,
                    round=assignment.round,
                )
            )
        number, total = self._count(trial, ended=False)
        place = self._scheduler.places[assignment.place]
        left_s = place.expected_s() if assignment.kind == "trial" else None
        self._tell(TrialStarted(machine=desk.name, trial=trial, number=number, total=total, left_s=left_s))

    def ended(self, desk: Desk, trial: Trial, outcome: AttemptFact) -> None:
        """A trial of this run has ended."""
        number, total = self._count(trial, ended=True)
        self._tell(TrialEnded(machine=desk.name, trial=trial, outcome=outcome, number=number, total=total))

    def _count(self, trial: Trial, *, ended: bool) -> tuple[int, int]:
        """Which trial of how many it is, at its place."""
        place = self._scheduler.places[trial.place]
        if trial.kind == "pilot":
            total = len(self._design.cells)
            done = total - place.pilots_left
        else:
            tally, total = place.tally(), place.planned
            done = tally.ok + tally.failed
        # A failed attempt that will be repeated has ended without a trial being done.
        return min(total, max(1, done if ended else done + 1)), total
