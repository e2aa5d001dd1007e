"""A study as the scheduler sees it: numbers, orders, protocols, passes."""

from __future__ import annotations

from joulefleet.plan.expand import blocks, passes_from_pilot, pilots
from joulefleet.plan.trial import AttemptKind, Trial
from tests.support.machines_at_work import WITH_PILOT, fact_of, pinned, tiny_design


def trial(cell: int, *, kind: AttemptKind = "trial", block: int = 1, position: int = 0, machine_id: str = "m") -> Trial:
    """A trial of the tiny study at place m."""
    return tiny_design().trial(
        cell,
        kind=kind,
        place="m",
        machine_id=machine_id,
        passes=3,
        block=block,
        round=1,
        attempt=1,
        position=position,
        predecessor=None,
        assignment="",
    )


def test_orders_and_trials_are_those_of_the_plan() -> None:
    """What `joulefleet plan` shows is what runs."""
    design = tiny_design()
    plan = blocks(pinned(), passes=passes_from_pilot(pinned(), {}), machine_id="m", store_id="store")
    for block, order in zip(plan, design.orders("m"), strict=True):
        for position, (planned, cell) in enumerate(zip(block.trials, order, strict=True), start=1):
            ours = trial(cell, block=block.number, position=position)
            assert ours.trial_id == planned.trial_id
            assert ours.protocol == planned.protocol
            assert (ours.comparison_group, ours.comparison_group_size) == (planned.comparison_group, 2)
            assert (ours.cell, ours.block, ours.position) == (planned.cell, planned.block, planned.position)


def test_pilots_are_those_of_the_plan() -> None:
    """A store that has them from an earlier run is believed."""
    design = tiny_design(WITH_PILOT)
    planned = {pilot.trial_id for pilot in pilots(pinned(WITH_PILOT), machine_id="m", store_id="store")}
    found = {
        design.trial(
            cell,
            kind="pilot",
            place="m",
            machine_id="m",
            passes=1,
            block=0,
            round=1,
            attempt=1,
            position=0,
            predecessor=None,
            assignment="",
        ).trial_id
        for cell in range(4)
    }
    assert found == planned


def test_what_is_compared_is_one_group_and_gets_one_number_of_passes() -> None:
    """The fastest of a group must still fill the window: 2 s and a tenth at a quarter of a second are nine."""
    design = tiny_design(WITH_PILOT)
    assert design.groups == ((0, 2), (1, 3))
    assert design.passes({0: 0.5, 2: 0.25, 1: 1.0, 3: 1.0}) == (9, 3, 9, 3)


def test_a_group_without_a_pilot_gets_one_pass() -> None:
    """All of its pilots failed; so will its trials, most likely, and at least soon."""
    assert tiny_design(WITH_PILOT).passes({1: 1.0})[0] == 1


def test_passes_with_which_trials_were_measured_stand() -> None:
    """A pilot that comes late, and says otherwise, does not make them worthless; the other group is free."""
    design = tiny_design(WITH_PILOT)
    facts = [(cell, fact_of(design, cell, passes=5)) for cell in (0, 2)]
    told = {0: 0.25, 1: 0.25, 2: 0.25, 3: 0.25}
    assert design.passes(told, facts) == (5, 9, 5, 9)
    assert tiny_design().passes({}, [(0, fact_of(tiny_design(), 0, passes=5))]) == (3, 3, 3, 3)


def test_a_machine_of_a_class_is_named_in_the_trial_and_its_attempt() -> None:
    """Two machines of a class may be at the same attempt, where one of them was taken for lost."""
    assert trial(0).machine_id == ""
    shared = trial(0, machine_id="a")
    assert shared.machine_id == "a"
    assert shared.attempt_id.endswith("-r1-a1-a")
    assert shared.trial_id == trial(0).trial_id
