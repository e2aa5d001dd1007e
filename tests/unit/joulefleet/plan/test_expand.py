from dataclasses import replace

import pytest

from joulefleet.plan.expand import (
    Comparand,
    blocks,
    cells,
    comparands,
    expected_trial_s,
    passes_from_pilot,
    passes_key,
    pilots,
)
from joulefleet.plan.trial import Cell
from joulefleet.study.spec import CoolDown, Factors, Measure, Model, Pair, ProofArm, Proofs, Study, Task, WarmUp, Window
from tests.property.strategies import pin

STUDY = Study(
    name="study",
    regime="burst",
    repetitions=2,
    models={name: Model(path=name) for name in ("bert", "distilbert", "gpt2")},
    tasks={name: Task(preset=name) for name in ("sst2", "mnli")},
    pairs={"bert": Pair(teacher="bert", student="distilbert")},
)


def test_every_combination_is_a_cell() -> None:
    """Models × tasks × levels of each factor, in the order in which the study names them."""
    study = replace(STUDY, factors=Factors(batch_size=(1, 8), dtype=("float32", "bfloat16")))
    assert len(cells(study)) == 3 * 2 * 2 * 2
    assert [str(cell) for cell in cells(study)][:5] == [
        "bert/sst2",
        "bert/sst2 bfloat16",
        "bert/sst2 batch 8",
        "bert/sst2 batch 8 bfloat16",
        "bert/mnli",
    ]


def test_a_model_does_only_its_tasks() -> None:
    """A model that names its tasks makes no cell with the others."""
    study = replace(STUDY, models=dict(STUDY.models) | {"gpt2": Model(path="gpt2", tasks=("mnli",))})
    assert [cell.task for cell in cells(study) if cell.model == "gpt2"] == ["mnli"]


def test_a_proof_is_a_cell_of_its_own_once() -> None:
    """The A/A and the 2x arm are cells beside their model's; asked for twice they are still one."""
    arm = ProofArm(model="bert", task="sst2")
    study = replace(STUDY, proofs=Proofs(a_a=(arm, arm), twice=(arm,)))
    assert [str(cell) for cell in cells(study)][-2:] == ["bert+again/sst2", "bert+twice/sst2"]
    assert len(cells(study)) == 8
    assert comparands(study) == [
        Comparand(name="bert", kind="distillation", teacher="bert", student="distilbert"),
        Comparand(name="bert+again", kind="a_a", teacher="bert", student="bert+again", expected_ratio=1.0),
        Comparand(name="bert+twice", kind="twice", teacher="bert", student="bert+twice", expected_ratio=2.0),
    ]


def test_passes_are_shared_by_all_that_are_compared() -> None:
    """Two students of one teacher and its proofs share their passes; a model without a pair stands alone."""
    study = replace(
        STUDY,
        models=dict(STUDY.models) | {"tinybert": Model(path="tinybert")},
        pairs=dict(STUDY.pairs) | {"tiny": Pair(teacher="bert", student="tinybert")},
        proofs=Proofs(twice=(ProofArm(model="bert", task="sst2"),)),
    )
    keys = {cell.model: passes_key(study, cell) for cell in cells(study) if cell.task == "sst2"}
    assert keys["bert"] == keys["distilbert"] == keys["tinybert"] == keys["bert+twice"] != keys["gpt2"]


def test_the_fastest_of_a_pair_fixes_the_passes() -> None:
    """The student works at least as long as the window asks, and the teacher as many passes: longer."""
    study = replace(STUDY, measure=Measure(window=Window(at_least_s=1.0)))
    bert, distilbert = Cell(model="bert", task="sst2"), Cell(model="distilbert", task="sst2")
    passes = passes_from_pilot(pin(study), {bert: 0.5, distilbert: 0.3})
    assert passes[passes_key(study, bert)] == 4


def test_a_pilot_that_failed_does_not_count() -> None:
    """The other of the pair fixes the passes; without either it is one, and the trial tells what is wrong."""
    bert, distilbert = Cell(model="bert", task="sst2"), Cell(model="distilbert", task="sst2")
    pinned = pin(replace(STUDY, measure=Measure(window=Window(at_least_s=1.0))))
    assert passes_from_pilot(pinned, {bert: 0.5})[passes_key(STUDY, distilbert)] == 3
    assert passes_from_pilot(pinned, {})[passes_key(STUDY, distilbert)] == 1


def test_passes_that_the_study_fixes_need_no_pilot() -> None:
    """Where the study says how many passes, no pilot runs, and none would change it."""
    study = replace(STUDY, measure=Measure(window=Window(passes=7)))
    assert pilots(pin(study), machine_id="m", store_id="s") == []
    assert set(passes_from_pilot(pin(study), {Cell(model="bert", task="sst2"): 0.5}).values()) == {7}


def test_a_pilot_is_short() -> None:
    """One pass of every cell, without baseline, warm-up or rest."""
    shorts = pilots(pin(STUDY), machine_id="m", store_id="s")
    assert [pilot.cell for pilot in shorts] == cells(STUDY)
    assert {pilot.kind for pilot in shorts} == {"pilot"}
    assert {pilot.protocol.passes for pilot in shorts} == {1}
    assert max(expected_trial_s(pilot.protocol, pass_s=0.0) for pilot in shorts) < 1


def test_a_trial_is_expected_to_last_its_phases() -> None:
    """Overhead 0.6 s, baseline, warm-up, window and rest, each as long as asked."""
    measure = Measure(
        baseline_s=1.0,
        warm_up=WarmUp(at_least_s=2.0),
        window=Window(at_least_s=10.0),
        cool_down=CoolDown(fixed_s=3.0),
    )
    pinned = pin(replace(STUDY, measure=measure))
    passes = dict.fromkeys(passes_from_pilot(pinned, {}), 4)
    trial = next(blocks(pinned, passes=passes, machine_id="m", store_id="s")).trials[0]
    assert expected_trial_s(trial.protocol, pass_s=None) == pytest.approx(0.6 + 1 + 2 + 10 + 3)
    assert expected_trial_s(trial.protocol, pass_s=5.0) == pytest.approx(0.6 + 1 + 5 + 20 + 3)


def test_another_machine_runs_in_another_order() -> None:
    """What disturbs at a time of day disturbs other cells on each machine."""
    pinned = pin(STUDY)
    passes = passes_from_pilot(pinned, {})
    orders = {
        tuple(trial.cell for trial in next(blocks(pinned, passes=passes, machine_id=f"m{i}", store_id="s")).trials)
        for i in range(20)
    }
    assert len(orders) > 15
