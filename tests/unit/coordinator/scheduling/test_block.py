"""What is settled in a block, and when the rest of it begins anew."""

from __future__ import annotations

import pytest

from coordinator.scheduling.attempt import AGENT_LOST, AttemptFact
from coordinator.scheduling.block import BlockProgress, block_from
from tests.support.machines_at_work import START_S, fact_of, tiny_design

DESIGN = tiny_design()
GROUPS = ((0, 2), (1, 3))
HOUR = 3600.0


def block(*facts: tuple[int, AttemptFact]) -> BlockProgress:
    """A block in the order 0, 1, 2, 3 as `facts` leave it."""
    return block_from(1, (0, 1, 2, 3), GROUPS, facts)


def of(cell: int, reason: str | None = None, **how: object) -> tuple[int, AttemptFact]:
    """An attempt at `cell`."""
    return cell, fact_of(DESIGN, cell, reason=reason, **how)  # type: ignore[arg-type]  # a test names the fields


def test_what_is_left_comes_in_its_order_and_what_failed_last() -> None:
    """A retry in the middle would stand where the plan has another trial."""
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
    """What is compared is measured on one machine, in one boot, without a long gap."""
    here: dict[str, object] = {"machine_id": "m", "boot_id": "boot", "now_s": START_S + 60}
    said = block(of(0)).incoherent(**here | how)  # type: ignore[arg-type]  # the cases name the arguments
    assert said is None if why is None else why in (said or "")


def test_a_block_that_nobody_began_has_no_round_to_break() -> None:
    """Whoever takes it, whenever, begins it."""
    fresh = BlockProgress(number=1, order=(0, 1), groups=((0, 1),))
    assert fresh.incoherent(machine_id="any", boot_id="any", now_s=0.0) is None


def test_the_row_of_a_lost_agent_says_nothing_of_boot_or_time() -> None:
    """The coordinator wrote it after a restart: what was measured before is still of the boot before."""
    found = block(of(0), of(1, AGENT_LOST, boot_id="later", ended_s=START_S + HOUR))
    assert (found.boot_id, found.last_s) == ("boot", START_S)
    found.note(of(3, AGENT_LOST, boot_id="later", ended_s=START_S + HOUR)[1], 3)
    assert (found.boot_id, found.last_s) == ("boot", START_S)


def test_whole_groups_are_kept_and_all_others_run_again_together() -> None:
    """0 and 2 are whole; 1 was measured without the one that it is compared with."""
    found = block(of(0), of(2), of(1))
    assert found.begin_again("a test") == [1]
    assert (found.round, found.good) == (2, 2)
    assert list(found.to_do()) == [1, 3]


def test_a_group_that_is_whole_by_a_failure_is_kept_as_well() -> None:
    """Two failures of the work settle a trial: running its partner again would not help it."""
    found = block(of(0), of(2, "exception"), of(2, "exception", attempt=2))
    found.begin_again("a test")
    assert list(found.to_do()) == [1, 3]
    assert (found.good, found.bad) == (1, 1)


def test_failures_are_counted_on_over_rounds() -> None:
    """Forgotten, a trial that fails and one that restarts its machine would keep a block going for ever."""
    found = block(of(1, "exception"))
    found.begin_again("a test")
    found.note(of(1, "exception", round=2)[1], 1)
    assert found.tries_of(1).given_up == "quarantined"
    assert block(of(1, "exception"), of(1, "exception", round=2)).tries_of(1).given_up == "quarantined"


def test_a_trial_lost_for_good_is_hopeless_in_later_rounds() -> None:
    """It would bring the machine down again, and with it the next round."""
    found = block(of(1, AGENT_LOST))
    found.begin_again("a test")
    assert found.tries_of(1).hopeless
    assert not found.tries_of(1).settled
    assert block(of(1, AGENT_LOST), of(0, round=2)).tries_of(1).hopeless


def test_infrastructure_is_tried_three_times() -> None:
    """It may be better the next time; the work itself will not."""
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


def test_what_comes_late_of_an_earlier_round_is_no_more_than_data() -> None:
    """The round that runs now has its own."""
    found = block(of(0))
    found.begin_again("a test")
    assert found.note(of(1)[1], 1) is None
    assert list(found.to_do()) == [0, 1, 2, 3]


def test_a_row_of_the_machine_that_had_the_block_before_is_no_more_than_data() -> None:
    """Machines of a class share blocks, but a group is whole on one of them or not at all."""
    found = BlockProgress(number=1, order=(0, 1, 2, 3), groups=GROUPS)
    found.note(of(0, machine_id="b")[1], 0)
    assert found.note(of(2, machine_id="a")[1], 2) is None
    assert found.good == 1
    again = block(of(0, machine_id="b"), of(1, machine_id="b"), of(2, machine_id="a"))
    assert (again.holder, list(again.to_do())) == ("b", [2, 3])


def test_the_newest_round_in_which_a_group_is_whole_stands() -> None:
    """A row of a later round that came from an outbox does not undo it."""
    found = block(of(0), of(2), of(0, round=2), of(1, round=2))
    assert found.round == 2
    assert list(found.to_do()) == [3]


def test_a_trial_taken_for_lost_that_was_measured_after_all_counts_as_measured() -> None:
    """Its row lay in an outbox that nobody could reach."""
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
def test_what_was_given_up_is_tried_again_when_asked(reason: str, attempts: int, retry: str, again: bool) -> None:  # noqa: FBT001 - a case
    """Attempts are counted on, so that no row is met twice."""
    facts = [of(0, reason, attempt=number) for number in range(1, attempts + 1)]
    found = block_from(1, (0, 1, 2, 3), GROUPS, facts, retry=frozenset({retry}))
    assert found.tries_of(0).settled is not again
    assert found.tries_of(0).attempt == attempts


def test_one_failure_is_enough_where_another_block_has_the_cell_in_quarantine() -> None:
    """It has had its second chance."""
    found = block_from(1, (0, 1, 2, 3), GROUPS, [of(0, "exception")], quarantined=frozenset({0}))
    assert found.tries_of(0).given_up == "quarantined"
