"""The plan of a place: numbers, orders, trials, protocols, passes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.planning.resolve import resolve
from joulefleet.digest import digest
from joulefleet.plan.design import Design
from joulefleet.plan.expand import expected_trial_s
from joulefleet.plan.trial import Trial
from joulefleet.study.load import load_study
from joulefleet.study.spec import Study
from tests.support.scheduled_machines import WITH_PILOT, tiny_design
from tests.support.tiny_trials import tiny_study

WITH_EVERYTHING = """
name: factors
seed: 7
regime: burst
repetitions: 5
models:
  big: {architecture: {model_type: bert, config: {vocab_size: 100, num_hidden_layers: 4}}}
  small: {architecture: {model_type: distilbert, config: {vocab_size: 100, n_layers: 2}}}
  alone: {architecture: {model_type: gpt2, config: {vocab_size: 100}}, tasks: [one]}
tasks:
  one: {preset: sst2, items: {synthetic: {count: 4}}}
  two: {preset: mnli, items: {synthetic: {count: 4}}}
pairs: {p: {teacher: big, student: small}}
factors: {batch_size: [1, 8], threads: [0, 2], dtype: [float32, bfloat16]}
environments: [bare, pod]
proofs:
  a_a: [{model: big, task: one}]
  twice: [{model: small, task: two}]
"""


def design_of(study: Study) -> Design:
    """Return the design of `study` on bare metal, where it names no environment."""
    return Design(resolve(replace(study, environments=study.environments or ("bare",)), Path("/")), store_id="store")


def trial(cell: int = 0, *, machine_id: str = "m") -> Trial:
    """Return a trial of the tiny study at place m."""
    return tiny_design().trial(cell, place="m", machine_id=machine_id, passes=3, block=1)


@pytest.mark.parametrize(
    ("study", "expected"),
    [
        (
            load_study("cain2024")[0],
            ("db77d2c72035b49b4fcc", "3906e71153bbbe755210", "3c98a84fecea1a2fa1ae", "e7bda6f1135a0dae3555"),
        ),
        (
            load_study("quick")[0],
            ("0bc2401c63a6b769cfec", "1da1b6d394192b8a7d47", "6e358c5442025a1456be", "c253eeacb18f558cf8f2"),
        ),
        (
            tiny_study(WITH_EVERYTHING),
            ("a98c78746089808838c2", "2710c1b89838485e3df9", "b773390c5f771432f505", "6535dd5b98ffcc26be15"),
        ),
    ],
)
def test_plans_are_the_same_in_every_release(study: Study, expected: tuple[str, str, str, str]) -> None:
    """A changed id would measure again what a store holds; a changed order break the one registered."""
    design = design_of(study)
    passes = design.passes({cell: 0.01 * (cell + 1) for cell in range(len(design.cells)) if cell % 5 != 4})
    plan = list(design.blocks("m1", passes))
    pilots = [design.trial(cell, kind="pilot", place="m1") for cell in range(len(design.cells))]
    assert expected == (
        digest(list(design.orders("m1"))),
        digest([[trial.trial_id for trial in block.trials] for block in plan]),
        digest([pilot.trial_id for pilot in pilots]),
        digest([trial.comparison_group for trial in plan[0].trials]),
    )


def test_a_plan_holds_the_trials_that_a_run_sends() -> None:
    """`joulefleet plan` shows what runs: each cell of each order, after the one before it."""
    design = tiny_design()
    last = None
    for block, order in zip(design.blocks("m", (3, 3, 3, 3)), design.orders("m"), strict=True):
        for position, (planned, cell) in enumerate(zip(block.trials, order, strict=True), start=1):
            assert planned == design.trial(
                cell, place="m", machine_id="m", passes=3, block=block.number, position=position, predecessor=last
            )
            last = cell


def test_another_machine_runs_in_another_order() -> None:
    """What disturbs at a time of day disturbs other cells on each machine."""
    assert len({tuple(next(tiny_design().orders(f"m{number}"))) for number in range(200)}) == 24


def test_a_pilot_is_one_short_pass() -> None:
    """It has no baseline, warm-up or rest, and costs less than a second beside its pass."""
    pilot = tiny_design(WITH_PILOT).trial(0, kind="pilot", place="m")
    assert (pilot.kind, pilot.block, pilot.protocol.passes) == ("pilot", 0, 1)
    assert pilot.protocol.digest == tiny_design(WITH_PILOT).pilot_digest(0)
    assert expected_trial_s(pilot.protocol, pass_s=0.0) < 1


def test_cells_that_are_compared_are_a_group_and_share_their_passes() -> None:
    """The fastest of a group must still fill the window: 2 s and a tenth at a quarter of a second are nine."""
    design = tiny_design(WITH_PILOT)
    assert design.groups == ((0, 2), (1, 3))
    assert trial().comparison_group_size == 2
    assert trial(0).comparison_group == trial(2).comparison_group != trial(1).comparison_group
    assert design.passes({0: 0.5, 2: 0.25, 1: 1.0, 3: 1.0}) == (9, 3, 9, 3)


def test_a_pilot_that_failed_does_not_count() -> None:
    """The other cells of the group fix the passes; a group whose pilots all failed gets one pass."""
    assert tiny_design(WITH_PILOT).passes({1: 1.0}) == (1, 3, 1, 3)


def test_passes_that_the_study_fixes_need_no_pilot() -> None:
    """Where the study says how many passes, no pilot would change it."""
    assert not tiny_design().has_pilots
    assert tiny_design().passes({0: 0.001}) == (3, 3, 3, 3)


def test_passes_with_which_trials_were_measured_stand() -> None:
    """A pilot that arrives late with another duration does not make them worthless; the other group is free."""
    design = tiny_design(WITH_PILOT)
    used = [(cell, 5, design.digest(cell, 5)) for cell in (0, 2)]
    assert design.passes(dict.fromkeys(range(4), 0.25), used) == (5, 9, 5, 9)
    assert design.passes(dict.fromkeys(range(4), 0.25), [(0, 5, "another protocol")]) == (9, 9, 9, 9)
    assert tiny_design().passes({}, [(0, 5, tiny_design().digest(0, 5))]) == (3, 3, 3, 3)


def test_a_machine_of_a_class_is_named_in_the_trial_and_its_attempt() -> None:
    """Two machines of a class may be at the same attempt, where one of them was taken for lost."""
    assert trial().machine_id == ""
    shared = trial(machine_id="a")
    assert shared.machine_id == "a"
    assert shared.attempt_id.endswith("-r1-a1-a")
    assert shared.trial_id == trial().trial_id
