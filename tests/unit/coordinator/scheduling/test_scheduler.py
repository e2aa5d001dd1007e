"""The decisions of the scheduler: retries, losses, waiting and rounds."""

from __future__ import annotations

import pytest

from coordinator.scheduling.attempt import AGENT_LOST
from coordinator.scheduling.scheduler import (
    BUSY_S,
    LOSSES_OF_A_MACHINE,
    LOSSES_OF_A_TRIAL,
    Assignment,
    Scheduler,
)
from tests.support.scheduled_machines import START_S, TRIAL_S, WITH_PILOT, ScheduledMachines, fact_of, tiny_design
from tests.support.tiny_trials import TINY_STUDY


def test_a_failure_of_the_work_is_tried_once_more_at_the_end_of_its_block_and_then_stands() -> None:
    """In later blocks one failure is enough, as it has failed twice already."""
    work = ScheduledMachines()
    cell = work.next().cell
    done = []
    while isinstance(found := work.scheduler.next("m", work.now_s), Assignment):
        work.end(found, "exception" if found.cell == cell else None)
        done.append((found.block, found.cell, found.attempt))
    assert done[0] == (1, cell, 1)
    assert done[4] == (1, cell, 2)
    assert [trial for trial in done if trial[1] == cell] == [(1, cell, 1), (1, cell, 2), (2, cell, 1)]
    tally = work.scheduler.places["m"].tally()
    assert (tally.ok, tally.failed) == (6, 2)


def test_a_failure_of_the_infrastructure_is_tried_three_times_in_every_block() -> None:
    """Such a failure has nothing to do with the work, so other blocks have all their attempts."""
    work = ScheduledMachines()
    cell = work.next().cell
    attempts = []
    while isinstance(found := work.scheduler.next("m", work.now_s), Assignment):
        work.end(found, "killed" if found.cell == cell else None)
        if found.cell == cell:
            attempts.append((found.block, found.attempt))
    assert attempts == [(block, attempt) for block in (1, 2) for attempt in (1, 2, 3)]


def test_a_cell_never_follows_itself_where_another_can_go_first() -> None:
    """A cell that follows itself would find its own data in the caches."""
    work = ScheduledMachines()
    last = [work.do() for _ in range(3)][-1]
    fourth = work.do(reason="exception")
    retry = work.do(reason=None)
    assert retry.cell == fourth.cell, "nothing else was left in the block"
    follower = work.next()
    assert follower.cell != retry.cell
    assert follower.predecessor == retry.cell
    assert last.block == retry.block


def test_every_trial_knows_what_ran_before_it_on_its_machine_in_this_boot() -> None:
    """After a restart of the machine nothing ran before."""
    work = ScheduledMachines()
    first = work.do()
    assert first.predecessor is None
    assert work.do().predecessor == first.cell
    work.scheduler.leave("m")
    work.join("m", boot_id="another")
    assert work.next().predecessor is None


@pytest.mark.parametrize(
    ("away_s", "boot_id", "round_after"), [(600.0, "boot", 1), (7200.0, "boot", 2), (60.0, "b", 2)]
)
def test_a_machine_that_comes_back_goes_on_or_begins_a_new_round(away_s: float, boot_id: str, round_after: int) -> None:
    """An absence of more than an hour and a restart begin a new round."""
    work = ScheduledMachines()
    work.do()
    work.scheduler.leave("m")
    assert work.rest().why == "absent"
    work.now_s += away_s
    work.join("m", boot_id=boot_id)
    found = work.next()
    assert (found.block, found.round) == (1, round_after)
    assert ("round 2, as" in found.why) == (round_after == 2)


def test_an_agent_that_is_lost_repeats_its_trial_with_the_same_attempt() -> None:
    """With a new number, a row that arrives late after all would be another attempt."""
    work = ScheduledMachines()
    first = work.next()
    assert work.scheduler.lost("m") is None
    again = work.next()
    assert (again.cell, again.block, again.round, again.attempt) == (first.cell, 1, 1, 1)


def test_a_trial_that_loses_its_agent_three_times_has_failed_for_good() -> None:
    """The coordinator learns it and writes the row. A row in between starts the count again."""
    work = ScheduledMachines()
    for _ in range(LOSSES_OF_A_TRIAL - 1):
        work.next()
        assert work.scheduler.lost("m") is None
    work.do()
    for _ in range(LOSSES_OF_A_TRIAL - 1):
        work.next()
        assert work.scheduler.lost("m") is None
    victim = work.next()
    assert work.scheduler.lost("m") == victim


def test_losses_are_counted_over_rounds_and_machines() -> None:
    """Each loss may restart the machine and begin a round, or bring the block to another machine."""
    work = ScheduledMachines(machines="ab", place="class")
    victim = work.do("a").cell
    gone = None
    for number, machine_id in enumerate("aba"):
        work.scheduler.leave(machine_id)
        work.join(machine_id, boot_id=f"boot {number}")
        while (found := work.next(machine_id)).block != 1 or found.cell == victim:
            work.end(found)
        gone = work.scheduler.lost(machine_id)
        work.scheduler.leave(machine_id)
    assert gone is not None


def test_a_trial_lost_for_good_is_not_run_in_a_later_round_of_its_block() -> None:
    """Its row is written again so that the round is complete, and the machine is not brought down again."""
    work = ScheduledMachines()
    victim = work.next()
    for _ in range(LOSSES_OF_A_TRIAL):
        assert work.next().cell == victim.cell
        work.scheduler.lost("m")
    row = fact_of(work.design, victim.cell, attempt=2, reason=AGENT_LOST, ended_s=work.now_s)
    work.scheduler.ended(row, machine_id="m")
    work.do()
    work.now_s += 7200
    done = work.finish()
    hopeless = [trial for trial in done if trial.hopeless]
    assert [(trial.cell, trial.block, trial.round) for trial in hopeless] == [(victim.cell, 1, 2)]


def test_a_machine_whose_agent_is_lost_six_times_in_succession_is_set_aside() -> None:
    """Otherwise it would fail one trial after the other."""
    work = ScheduledMachines()
    for number in range(LOSSES_OF_A_MACHINE):
        assert work.scheduler.members["m"].set_aside is None
        victim = work.next()
        gone = work.scheduler.lost("m")
        if gone is not None and number < LOSSES_OF_A_MACHINE - 1:
            row = fact_of(work.design, victim.cell, attempt=2, reason=AGENT_LOST)
            work.scheduler.ended(row, machine_id="m")
    rest = work.rest()
    assert rest.why == "set aside"
    assert "6 times in succession" in rest.message


def test_a_row_in_between_shows_that_the_machine_works() -> None:
    """A row sets the count of losses in succession to zero."""
    work = ScheduledMachines()
    for _ in range(4):
        for _ in range(2):
            work.next()
            work.scheduler.lost("m")
        work.do()
    assert work.scheduler.members["m"].set_aside is None


def test_a_machine_set_aside_is_not_there_for_its_class_even_when_it_joins_again() -> None:
    """Otherwise its block would wait for it."""
    work = ScheduledMachines(machines="ab", place="class")
    work.do("a")
    work.scheduler.set_aside("a", "its disk is full")
    work.scheduler.leave("a")
    work.join("a")
    assert work.rest("a").why == "set aside"
    assert {trial.block for trial in work.finish("b")} == {1, 2}
    assert work.scheduler.finished()


def test_a_busy_machine_is_asked_again_after_a_while() -> None:
    """It is neither a loss nor a failure: the same attempt is assigned again."""
    work = ScheduledMachines()
    first = work.next()
    work.scheduler.busy("m", work.now_s)
    rest = work.rest()
    assert (rest.why, rest.until_s) == ("busy", work.now_s + BUSY_S)
    work.now_s += BUSY_S
    again = work.next()
    assert (again.cell, again.attempt) == (first.cell, first.attempt)
    assert work.scheduler.members["m"].losses == 0


def test_a_clock_that_is_set_back_does_not_keep_a_machine_waiting() -> None:
    """Otherwise a clock set back by hours would make it wait for hours."""
    work = ScheduledMachines()
    work.next()
    work.scheduler.busy("m", work.now_s)
    work.now_s -= 5 * 3600
    assert work.next().block == 1


def test_a_pilot_that_was_not_carried_out_is_free_again() -> None:
    """The machine that had it may be lost, busy or set aside."""
    work = ScheduledMachines(WITH_PILOT, machines="abc", place="class")
    cells = [work.next(machine_id).cell for machine_id in "abc"]
    work.scheduler.lost("a")
    work.scheduler.busy("b", work.now_s)
    work.scheduler.set_aside("c", "a test")
    again = [work.do("a").cell for _ in range(4)]
    assert sorted(again) == [0, 1, 2, 3]
    assert set(cells) <= set(again)


def test_an_attempt_that_comes_twice_counts_once() -> None:
    """A row that was collected comes again from the outbox where the first answer was lost."""
    work = ScheduledMachines()
    done = work.do(reason="exception")
    for _ in range(3):
        work.scheduler.ended(work.facts[0], machine_id="m")
    later = [work.do() for _ in range(4)]
    assert [trial.attempt for trial in later if trial.cell == done.cell] == [2]
    assert work.scheduler.places["m"].tally().ok == 4


def test_rows_of_a_machine_that_has_not_joined_are_kept_for_it() -> None:
    """Another machine of its class may have collected them."""
    work = ScheduledMachines()
    work.scheduler.ended(fact_of(work.design, 0, place="other", machine_id="other"), machine_id="m")
    work.join("other")
    assert work.scheduler.places["other"].tally().ok == 1


def test_retry_flags_open_what_was_given_up_and_all_that_it_is_compared_with() -> None:
    """All cells of its group are measured again on that day; other groups stay as they are."""
    work = ScheduledMachines()
    cell = work.next().cell
    while isinstance(found := work.scheduler.next("m", work.now_s), Assignment):
        work.end(found, "exception" if found.cell == cell else None)
    assert ScheduledMachines(facts=work.facts).scheduler.finished()
    assert ScheduledMachines(facts=work.facts, retry=frozenset({"failed"})).scheduler.finished()
    again = ScheduledMachines(facts=work.facts, retry=frozenset({"quarantined"}))
    again.now_s = START_S + 86400
    done = again.finish()
    group = next(group for group in work.design.groups if cell in group)
    assert {trial.cell for trial in done} == set(group)
    assert {trial.round for trial in done} == {2}
    assert again.scheduler.places["m"].tally().failed == 0


def test_nothing_is_finished_before_anybody_has_joined() -> None:
    """Otherwise a run without machines would end at once and report that all is done."""
    assert not Scheduler(tiny_design()).finished()


def test_the_trial_that_is_sent_says_what_the_assignment_says() -> None:
    """The agent copies these fields into the row."""
    work = ScheduledMachines()
    work.do()
    found = work.next()
    trial = work.scheduler.trial(found)
    assert (trial.block, trial.round, trial.attempt, trial.position) == (1, 1, 1, 2)
    assert trial.cell == work.design.cells[found.cell]
    assert trial.predecessor == str(work.design.cells[found.predecessor or 0])
    assert trial.assignment == "block 1, position 2"


def test_a_machine_that_is_of_another_class_now_goes_on_with_that_ones_blocks() -> None:
    """Memory may have been added while it was away. Its old assignment stays with the old class."""
    scheduler = Scheduler(tiny_design())
    scheduler.join("m", place="small", boot_id="boot")
    before = scheduler.next("m", START_S)
    assert isinstance(before, Assignment)
    scheduler.leave("m")
    scheduler.join("m", place="large", boot_id="another")
    assert scheduler.lost("m") is None
    found = scheduler.next("m", START_S + 60)
    assert isinstance(found, Assignment)
    assert (before.place, found.place, found.block, found.attempt) == ("small", "large", 1, 1)
    late = fact_of(scheduler.design, before.cell, place="small", ended_s=START_S + 90)
    scheduler.ended(late, machine_id="m")
    assert scheduler.places["small"].tally().ok == 1
    assert scheduler.places["large"].tally().ok == 0
    assert scheduler.members["m"].assignment == found


def test_a_machine_whose_block_another_one_took_meanwhile_does_not_go_on_with_it() -> None:
    """Otherwise two machines would measure one block."""
    scheduler = Scheduler(tiny_design())
    for name in ("a", "b", "c"):
        scheduler.join(name, place="class", boot_id=f"boot of {name}")
    taken = {}
    for name in ("a", "b"):
        found = scheduler.next(name, START_S)
        assert isinstance(found, Assignment)
        ended = fact_of(scheduler.design, found.cell, block=found.block, place="class", machine_id=name)
        scheduler.ended(ended, machine_id=name)
        taken[name] = found.block
    scheduler.leave("a")
    orphan = scheduler.next("c", START_S + 20)
    assert isinstance(orphan, Assignment)
    assert (orphan.block, orphan.round) == (taken["a"], 2)
    scheduler.join("a", place="class", boot_id="boot of a")
    back = scheduler.next("a", START_S + 30)
    assert not isinstance(back, Assignment)
    assert back.why == "finished"


@pytest.mark.parametrize("text", [WITH_PILOT, TINY_STUDY])
def test_whether_work_is_expected_is_told_without_a_change(text: str) -> None:
    """It agrees with what `next` would give, at every step of two machines of one class, one of them busy once."""
    scheduler, now_s = Scheduler(tiny_design(text)), START_S
    for name in ("a", "b"):
        scheduler.join(name, place="class", boot_id="boot")
    assignments: dict[str, Assignment] = {}
    answers = set()
    while not scheduler.finished():
        now_s += TRIAL_S
        for name in ("a", "b"):
            before = repr((scheduler.members, scheduler.places))
            expected = scheduler.expects_work(name, now_s)
            assert repr((scheduler.members, scheduler.places)) == before
            found = scheduler.next(name, now_s)
            assert expected == (isinstance(found, Assignment) or found.why in ("busy", "pilots"))
            answers.add(expected)
            if isinstance(found, Assignment):
                assignments[name] = found
        if now_s == START_S + TRIAL_S:
            scheduler.busy("b", now_s)
            del assignments["b"]
        # One at a time: at the end the other machine waits, for a pilot or for good.
        name = min(assignments)
        ended = assignments.pop(name)
        passes = 1 if ended.kind == "pilot" else scheduler.trial(ended).protocol.passes
        scheduler.ended(
            fact_of(
                scheduler.design,
                ended.cell,
                block=ended.block,
                kind=ended.kind,
                passes=passes,
                place="class",
                machine_id=name,
                ended_s=now_s,
            ),
            machine_id=name,
        )
    assert answers == {True, False}
    for name in ("a", "b"):
        assert not scheduler.expects_work(name, now_s)
    scheduler.leave("a")
    assert not scheduler.expects_work("a", now_s)
