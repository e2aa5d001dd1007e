from dataclasses import replace

import pytest

from joulefleet.plan.design import Design
from joulefleet.plan.expand import Comparand, cells, comparands, expected_trial_s, passes_key
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
    """Cells are models × tasks × levels of each factor, in the order in which the study names them."""
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
    """A proof adds a cell to that of its model; a proof that is given twice still adds one."""
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


def test_a_trial_is_expected_to_last_its_phases() -> None:
    """The phases as long as the study asks, and 0.6 s of overhead."""
    measure = Measure(
        baseline_s=1.0,
        warm_up=WarmUp(at_least_s=2.0),
        window=Window(at_least_s=10.0),
        cool_down=CoolDown(fixed_s=3.0),
    )
    protocol = Design(pin(replace(STUDY, measure=measure)), store_id="s").protocol(0, 4)
    assert expected_trial_s(protocol, pass_s=None) == pytest.approx(0.6 + 1 + 2 + 10 + 3)
    assert expected_trial_s(protocol, pass_s=5.0) == pytest.approx(0.6 + 1 + 5 + 20 + 3)
