"""Progress of a block: which trials are settled, and when a new round begins."""

from __future__ import annotations

import pytest

from coordinator.scheduling.attempt import AGENT_LOST, AttemptFact
from coordinator.scheduling.block import BlockProgress, block_from
from tests.support.scheduled_machines import START_S, fact_of, tiny_design

DESIGN = tiny_design()
GROUPS = ((0, 2), (1, 3))
HOUR = 3600.0


def block(*facts: tuple[int, AttemptFact]) -> BlockProgress:
    """Return a block in the order 0, 1, 2, 3 after the attempts `facts`."""
    return block_from(1, (0, 1, 2, 3), GROUPS, facts)


def of(cell: int, reason: str | None = None, **how: object) -> tuple[int, AttemptFact]:
    """Return an attempt at `cell`."""
    return cell, fact_of(DESIGN, cell, reason=reason, **how)  # type: ignore[arg-type]  # a test names the fields


def test_what_is_left_comes_in_its_order_and_what_failed_last() -> None:
    """A retry before the end would move the other trials from their positions in the plan."""
    found = block(of(0, "exception"), of(1))
    assert list(found.to_do()) == [2, 3, 0]
    assert found.choose(None) == 2
    assert found.choose(2) == 3


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({}, None),
        ({"now_s": START_S + 0.9 * HOUR}, None),
        ({"now_s": START_S + 1.5 * HOUR}, "rested for 1.5 h"),
        ({"now_s": START_S - 2 * HOUR}, "set back by 2.0 h"),
        ({"boot_id": "other"}, "restarted"),
        ({"boot_id": None}, None),
        ({"machine_id": "other"}, "another machine"),
    ],
)
def test_a_round_ends_with_an_hour_a_restart_or_another_machine(how: dict[str, object], why: str | None) -> None:
    """Trials are compared only if one machine measured them in one boot without a long pause."""
    here: dict[str, object] = {"machine_id": "m", "boot_id": "boot", "now_s": START_S + 60}
    reason = block(of(0)).incoherent(**here | how)  # type: ignore[arg-type]  # the cases name the arguments
    assert reason is None if why is None else why in (reason or "")


def test_a_block_that_nobody_began_has_no_round_to_break() -> None:
    """The machine that takes it begins its first round."""
    fresh = BlockProgress(number=1, order=(0, 1), groups=((0, 1),))
    assert fresh.incoherent(machine_id="any", boot_id="any", now_s=0.0) is None


def test_the_row_of_a_lost_agent_says_nothing_of_boot_or_time() -> None:
    """The coordinator wrote it after a restart: earlier trials of the round belong to the boot before."""
    found = block(of(0), of(1, AGENT_LOST, boot_id="later", ended_s=START_S + HOUR))
    assert (found.boot_id, found.last_s) == ("boot", START_S)
    found.note(of(3, AGENT_LOST, boot_id="later", ended_s=START_S + HOUR)[1], 3)
    assert (found.boot_id, found.last_s) == ("boot", START_S)


def test_whole_groups_are_kept_and_all_others_run_again_together() -> None:
    """The group of 0 and 2 is complete; of the other group only 1 was measured."""
    found = block(of(0), of(2), of(1))
    assert found.begin_again("a test") == [1]
    assert (found.round, found.good) == (2, 2)
    assert list(found.to_do()) == [1, 3]


def test_a_group_that_is_whole_by_a_failure_is_kept_as_well() -> None:
    """Two failures of the work settle a trial, and running the other cell again would not change that."""
    found = block(of(0), of(2, "exception"), of(2, "exception", attempt=2))
    found.begin_again("a test")
    assert list(found.to_do()) == [1, 3]
    assert (found.good, found.bad) == (1, 1)


def test_failures_are_counted_on_over_rounds() -> None:
    """Otherwise a trial that fails and one that restarts its machine would keep a block open for ever."""
    found = block(of(1, "exception"))
    found.begin_again("a test")
    found.note(of(1, "exception", round=2)[1], 1)
    assert found.tries_of(1).given_up == "quarantined"
    assert block(of(1, "exception"), of(1, "exception", round=2)).tries_of(1).given_up == "quarantined"


def test_a_trial_lost_for_good_is_hopeless_in_later_rounds() -> None:
    """It would probably bring the machine down again and end the next round."""
    found = block(of(1, AGENT_LOST))
    found.begin_again("a test")
    assert found.tries_of(1).hopeless
    assert not found.tries_of(1).settled
    assert block(of(1, AGENT_LOST), of(0, round=2)).tries_of(1).hopeless


def test_infrastructure_is_tried_three_times() -> None:
    """The infrastructure may work the next time, while a failure of the work would repeat."""
    found = block(of(1, "killed"), of(1, "killed", attempt=2))
    assert not found.tries_of(1).settled
    found.note(of(1, "killed", attempt=3)[1], 1)
    assert found.tries_of(1).given_up == "failed"


def test_an_attempt_counts_once_however_often_it_comes() -> None:
    """Rows that were not acknowledged come again from the outbox."""
    found = block()
    for _ in range(3):
        found.note(of(1, "exception")[1], 1)
    assert not found.tries_of(1).settled
    assert found.bad == 0


def test_a_row_of_an_earlier_round_that_comes_late_does_not_count() -> None:
    """The present round measures the same cell itself."""
    found = block(of(0))
    found.begin_again("a test")
    assert found.note(of(1)[1], 1) is None
    assert list(found.to_do()) == [0, 1, 2, 3]


def test_a_row_of_the_machine_that_had_the_block_before_does_not_count() -> None:
    """Machines of a class share blocks, but all cells of a group must be measured on one machine."""
    found = BlockProgress(number=1, order=(0, 1, 2, 3), groups=GROUPS)
    found.note(of(0, machine_id="b")[1], 0)
    assert found.note(of(2, machine_id="a")[1], 2) is None
    assert found.good == 1
    again = block(of(0, machine_id="b"), of(1, machine_id="b"), of(2, machine_id="a"))
    assert (again.holder, list(again.to_do())) == ("b", [2, 3])


def test_the_newest_round_in_which_a_group_is_complete_is_accepted() -> None:
    """A single row of a later round, which came from an outbox, changes nothing."""
    found = block(of(0), of(2), of(0, round=2), of(1, round=2))
    assert found.round == 2
    assert list(found.to_do()) == [3]


def test_a_trial_taken_for_lost_that_was_measured_after_all_counts_as_measured() -> None:
    """Its row was in an outbox that could not be reached."""
    found = block(of(1, AGENT_LOST, attempt=2))
    assert (found.good, found.bad) == (0, 1)
    found.note(of(1)[1], 1)
    assert (found.good, found.bad) == (1, 0)


@pytest.mark.parametrize(
    ("reason", "attempts", "retry", "again"),
    [
        ("exception", 2, "quarantined", True),
        ("exception", 2, "failed", False),
        ("killed", 3, "failed", True),
        ("killed", 3, "quarantined", False),
        (AGENT_LOST, 1, "failed", True),
    ],
)
def test_a_trial_that_was_given_up_is_tried_again_on_request(
    reason: str,
    attempts: int,
    retry: str,
    again: bool,  # noqa: FBT001 - a case
) -> None:
    """Attempts keep counting, so that no attempt id occurs twice."""
    facts = [of(0, reason, attempt=number) for number in range(1, attempts + 1)]
    found = block_from(1, (0, 1, 2, 3), GROUPS, facts, retry=frozenset({retry}))
    assert found.tries_of(0).settled is not again
    assert found.tries_of(0).attempt == attempts


def test_one_failure_is_enough_where_another_block_has_the_cell_in_quarantine() -> None:
    """Its second chance was in the other block."""
    found = block_from(1, (0, 1, 2, 3), GROUPS, [of(0, "exception")], quarantined=frozenset({0}))
    assert found.tries_of(0).given_up == "quarantined"
