"""What is reported of plans, blocks and trials, and how it counts."""

from __future__ import annotations

from coordinator.campaign.agent_session import AgentSession, preparation_items
from coordinator.campaign.reporter import Reporter
from coordinator.events.events import BlockStarted, Event, PlanFixed, Preparing, TrialEnded, TrialStarted
from coordinator.scheduling.scheduler import Assignment, Scheduler
from tests.support.fake_cluster import FakeAgent
from tests.support.scheduled_machines import START_S, WITH_PILOT, fact_of, pinned, tiny_design

SESSION = AgentSession("node", FakeAgent(node="node").hello(), preparation_items(pinned()))


class Reported:
    """A reporter of a scheduler with one machine, and its events."""

    def __init__(self, text: str | None = None) -> None:
        self.events: list[Event] = []
        self.scheduler = Scheduler(tiny_design() if text is None else tiny_design(text))
        self.place = self.scheduler.join("m", place="m", boot_id="boot")
        self.reporter = Reporter(self.scheduler, self.events.append)

    def next(self) -> Assignment:
        """Return what the machine does next."""
        assignment = self.scheduler.next("m", START_S)
        assert isinstance(assignment, Assignment)
        return assignment

    def run(self, *, reason: str | None = None) -> tuple[TrialStarted, TrialEnded]:
        """Report one trial from its start to its end."""
        assignment = self.next()
        trial = self.scheduler.trial(assignment)
        self.reporter.trial_started(SESSION, trial)
        fact = fact_of(
            self.scheduler.design,
            assignment.cell,
            block=assignment.block,
            attempt=assignment.attempt,
            kind=assignment.kind,
            passes=trial.protocol.passes,
            reason=reason,
        )
        self.scheduler.ended(fact, machine_id="m")
        self.reporter.trial_ended(SESSION, trial, fact)
        started, ended = self.events[-2:]
        assert isinstance(started, TrialStarted)
        assert isinstance(ended, TrialEnded)
        return started, ended


def test_trials_are_counted_at_their_place() -> None:
    """Over all blocks, with the time that is left."""
    reported = Reported()
    left = []
    for number in (1, 2, 3):
        started, ended = reported.run()
        assert (started.number, started.total) == (ended.number, ended.total) == (number, 8)
        left.append(started.left_s or 0.0)
    assert left == sorted(left, reverse=True)
    assert left[-1] > 0


def test_a_failure_that_will_be_repeated_is_not_counted_as_done() -> None:
    """The trial has ended, and still has to be done."""
    reported = Reported()
    reported.run()
    _, failed = reported.run(reason="exception")
    started, _ = reported.run()
    assert (failed.number, started.number) == (1, 2)


def test_pilots_are_counted_by_themselves_and_have_no_time_left() -> None:
    """How long the trials take is known once the pilots have told."""
    reported = Reported(WITH_PILOT)
    for number in (1, 2):
        started, ended = reported.run()
        assert (started.number, started.total, ended.number) == (number, 4, number)
        assert started.left_s is None


def test_a_plan_is_reported_with_what_was_done_before() -> None:
    """So that a run that goes on says so at once."""
    reported = Reported()
    reported.run()
    reported.reporter.plan_fixed(reported.place, name="north")
    plan = reported.events[-1]
    assert isinstance(plan, PlanFixed)
    assert (plan.place, plan.total, plan.done, plan.obsolete) == ("north", 8, 1, 0)
    assert plan.expected_s > 0


def test_blocks_and_preparation_are_reported_with_their_number() -> None:
    """Out of how many."""
    reported = Reported()
    reported.reporter.block_started(SESSION, reported.next())
    assert reported.events == [BlockStarted(machine="fake", number=1, total=2, round=1)]
    reported.reporter.preparing(SESSION, "big for one")
    assert reported.events[-1] == Preparing(machine="fake", what="big for one", number=1, total=4)
