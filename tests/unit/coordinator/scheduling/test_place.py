"""Pilots and blocks of one place, which belongs to one machine or to a class of machines."""

from __future__ import annotations

from joulefleet.plan.williams import balanced_orders
from tests.support.scheduled_machines import (
    MORE_BLOCKS,
    START_S,
    WITH_NEW_MODEL,
    WITH_NEW_TASK,
    WITH_PILOT,
    ScheduledMachines,
    fact_of,
    pinned,
    tiny_design,
)
from tests.support.studies import changed
from tests.support.tiny_trials import TINY_STUDY


def test_pilots_come_first_and_fix_the_passes() -> None:
    """Each cell has one pilot, in the order of the study. Passes of 0.5 s give five passes for a window of 2 s."""
    work = ScheduledMachines(WITH_PILOT)
    done = [work.do() for _ in range(4)]
    assert [(pilot.kind, pilot.cell) for pilot in done] == [("pilot", cell) for cell in range(4)]
    assert work.scheduler.places["m"].passes == (5, 5, 5, 5)
    assert work.next().kind == "trial"


def test_pilots_are_shared_within_a_class() -> None:
    """Each is run once; a machine without one waits until the others have ended."""
    work = ScheduledMachines(WITH_PILOT, machines="abcde", place="class")
    running = [work.next(machine_id) for machine_id in "abcd"]
    assert {pilot.cell for pilot in running} == {0, 1, 2, 3}
    assert work.rest("e").why == "pilots"
    for pilot in running:
        work.end(pilot)
    assert work.next("e").kind == "trial"


def test_a_pilot_of_a_machine_that_has_gone_is_run_by_another() -> None:
    """Otherwise its class would wait for it for ever."""
    work = ScheduledMachines(WITH_PILOT, machines="ab", place="class")
    gone = work.next("a")
    work.scheduler.leave("a")
    cells = [work.do("b").cell for _ in range(4)]
    assert sorted(cells) == [0, 1, 2, 3]
    assert gone.cell in cells
    assert work.next("b").kind == "trial"


def test_pilots_of_two_machines_at_the_same_attempt_both_count() -> None:
    """One machine was taken for lost and its pilot failed; the other one measured its pilot."""
    design = tiny_design(WITH_PILOT)
    facts = [
        fact_of(design, 0, kind="pilot", block=0, place="class", machine_id="a", passes=1, reason="timeout"),
        *[fact_of(design, cell, kind="pilot", block=0, place="class", machine_id="b", passes=1) for cell in range(4)],
    ]
    assert ScheduledMachines(WITH_PILOT, facts, machines="b", place="class").next("b").kind == "trial"


def test_a_late_pilot_makes_no_trial_worthless() -> None:
    """Trials keep their passes, in whatever order a restart finds the pilots."""
    work = ScheduledMachines(WITH_PILOT, machines="b", place="class")
    for _ in range(4):
        work.do("b")
    work.finish("b")
    late = [
        fact_of(work.design, cell, kind="pilot", block=0, place="class", machine_id="a", passes=1, pass_s=0.1)
        for cell in range(4)
    ]
    again = ScheduledMachines(WITH_PILOT, [*late, *work.facts], machines="b", place="class")
    assert again.scheduler.finished()
    assert again.scheduler.places["class"].obsolete == 0


def test_a_failed_pilot_is_tried_once_more_and_then_does_not_count() -> None:
    """The other cells of its group fix the passes."""
    work = ScheduledMachines(WITH_PILOT)
    cells = []
    for _ in range(5):
        pilot = work.next()
        work.end(pilot, "exception" if pilot.cell == 0 else None)
        cells.append(pilot.cell)
    assert sorted(cells) == [0, 0, 1, 2, 3]
    assert work.scheduler.places["m"].passes == (5, 5, 5, 5)


def test_blocks_follow_their_orders() -> None:
    """The seed of the study and the name of the place give the orders."""
    study = pinned().study
    orders = balanced_orders(4, seed=f"{study.seed}/{study.name}/m")
    done = ScheduledMachines().finish()
    assert [trial.cell for trial in done] == [*next(orders), *next(orders)]
    assert [trial.block for trial in done] == [1] * 4 + [2] * 4


def test_machines_of_a_class_take_whole_blocks() -> None:
    """Trials of two machines cannot be compared."""
    work = ScheduledMachines(machines="ab", place="class")
    blocks = {machine_id: {work.do(machine_id).block for _ in range(4)} for machine_id in "ab"}
    assert blocks == {"a": {1}, "b": {2}}
    assert work.rest("a").why == "finished"


def test_a_block_of_an_absent_machine_is_taken_over_as_a_new_round_when_nothing_else_is_left() -> None:
    """New blocks come first, as the machine may come back."""
    work = ScheduledMachines(machines="ab", place="class")
    work.do("a")
    work.scheduler.leave("a")
    blocks = [work.do("b").block for _ in range(4)]
    taken = work.next("b")
    assert blocks == [2] * 4
    assert (taken.block, taken.round) == (1, 2)
    assert "another machine had begun it" in taken.why


def test_a_machine_that_comes_back_goes_on_with_its_own_block() -> None:
    """No other machine has taken it, and the absence was shorter than an hour."""
    work = ScheduledMachines(machines="ab", place="class")
    first = work.do("a")
    work.scheduler.leave("a")
    work.do("b")
    work.join("a")
    again = work.next("a")
    assert (again.block, again.round) == (first.block, 1)


def test_a_late_joiner_takes_a_block_of_its_own() -> None:
    """Under placement every-machine it runs the whole design."""
    work = ScheduledMachines(machines="a", place="class")
    work.do("a")
    work.join("b")
    assert work.next("b").block == 2
    alone = ScheduledMachines(machines="a")
    alone.finish("a")
    alone.join("b")
    assert len(alone.finish("b")) == 8


def test_a_row_of_an_earlier_run_counts_where_nobody_has_begun_its_block() -> None:
    """The outbox has kept it until now."""
    work = ScheduledMachines()
    work.scheduler.ended(fact_of(work.design, 0, block=2), machine_id="m")
    assert work.scheduler.places["m"].tally().ok == 1
    assert len(work.finish()) == 7


def test_a_row_of_a_round_that_this_run_knows_nothing_of_begins_that_round() -> None:
    """The run that had begun it died before the row reached the store."""
    work = ScheduledMachines()
    work.scheduler.ended(fact_of(work.design, 0, block=1, round=3), machine_id="m")
    done = work.finish()
    assert {trial.round for trial in done if trial.block == 1} == {3}
    assert len(done) == 7


def test_rows_of_finished_blocks_and_of_other_plans_change_nothing() -> None:
    """They stay in the store as data; so does a row beyond the last block."""
    work = ScheduledMachines()
    done = [work.do() for _ in range(4)]
    place = work.scheduler.places["m"]
    before = place.tally()
    for fact in (
        fact_of(work.design, done[0].cell, attempt=2, reason="exception"),
        fact_of(work.design, 0, block=2, protocol="another"),
        fact_of(work.design, 0, block=9),
    ):
        work.scheduler.ended(fact, machine_id="m")
    assert place.tally() == before


def test_a_run_goes_on_where_the_store_ends() -> None:
    """Trials that were measured are not run again; the one that failed is."""
    work = ScheduledMachines()
    for number in range(5):
        work.do(reason="exception" if number == 1 else None)
    done = {(fact.block, design_cell(fact.cell.model, fact.cell.task), fact.ok) for fact in work.facts}
    again = ScheduledMachines(facts=work.facts)
    again.now_s = work.now_s
    rest = [(trial.block, trial.cell) for trial in again.finish()]
    assert len(rest) == 8 - sum(ok for *_, ok in done)
    assert not {(block, cell) for block, cell, ok in done if ok} & set(rest)


def design_cell(model: str, task: str) -> int:
    """Return the number of a cell of the tiny study."""
    return [(cell.model, cell.task) for cell in tiny_design().cells].index((model, task))


def test_attempts_by_other_protocols_are_obsolete() -> None:
    """They were measured in another way; they stay in the store and are counted for the user."""
    work = ScheduledMachines()
    work.finish()
    other = ScheduledMachines(changed(TINY_STUDY, {"measure.window.passes": 4}), work.facts)
    assert other.scheduler.places["m"].obsolete == 8
    assert len(other.finish()) == 8


def test_more_repetitions_add_blocks_and_fewer_leave_theirs_alone() -> None:
    """The trials of a block do not depend on the number of blocks."""
    work = ScheduledMachines()
    work.finish()
    more = ScheduledMachines(MORE_BLOCKS, work.facts)
    assert [trial.block for trial in more.finish()] == [3] * 4
    fewer = ScheduledMachines(TINY_STUDY, [*work.facts, *more.facts])
    assert fewer.scheduler.finished()
    assert fewer.scheduler.places["m"].obsolete == 0


def test_a_new_model_beside_a_pair_has_the_whole_group_measured_again() -> None:
    """A difference from models measured on another day could be one between the days."""
    work = ScheduledMachines()
    work.finish()
    grown = ScheduledMachines(WITH_NEW_MODEL, work.facts)
    assert len(grown.finish()) == 2 * 6
    assert grown.scheduler.places["m"].obsolete == 8


def test_a_new_task_is_measured_in_every_block_and_the_others_are_reused() -> None:
    """Cells of different tasks are never compared."""
    work = ScheduledMachines()
    work.finish()
    grown = ScheduledMachines(WITH_NEW_TASK, work.facts)
    done = grown.finish()
    assert {grown.design.cells[trial.cell].task for trial in done} == {"three"}
    assert len(done) == 2 * 2


def test_the_time_that_is_left_is_known_at_any_moment() -> None:
    """Each trial that is settled shortens it, and a new round lengthens it again."""
    work = ScheduledMachines()
    place = work.scheduler.places["m"]
    whole = place.expected_s()
    work.do()
    assert abs(place.expected_s() - whole * 7 / 8) < 0.01
    work.now_s += 7200
    work.next()
    assert abs(place.expected_s() - whole) < 0.01
    work.scheduler.release("m")
    work.finish()
    assert place.expected_s() < 0.01
    assert place.tally().ok == place.planned == 8


def test_a_quarantine_of_any_block_is_known_after_a_restart() -> None:
    """Blocks of a class are not run in their order, so the cell may have been tried twice in the second block only."""
    work = ScheduledMachines(machines="ab", place="class")
    design = work.design
    facts = [
        fact_of(design, 0, block=2, place="class", machine_id="b", reason="exception"),
        fact_of(design, 0, block=2, place="class", machine_id="b", reason="exception", attempt=2),
        *[fact_of(design, cell, block=1, place="class", machine_id="a") for cell in (1, 2, 3)],
        fact_of(design, 0, block=1, place="class", machine_id="a", reason="exception"),
    ]
    again = ScheduledMachines(facts=facts, machines="ab", place="class")
    again.now_s = START_S + 60
    assert {trial.block for trial in again.finish("b")} == {2}
    assert again.scheduler.finished()
