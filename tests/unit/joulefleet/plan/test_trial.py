import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from joulefleet.errors import StudyError
from joulefleet.plan.trial import (
    Cell,
    Protocol,
    ResolvedModel,
    ResolvedTask,
    Trial,
    read_trial,
    trial_from_json,
    trial_id,
    trial_to_json,
)
from joulefleet.study.spec import Architecture, Hub, Items, SyntheticItems, Thresholds
from joulefleet.study.timing import Timing

TIMING = Timing(
    baseline_s=0.5,
    warm_up_at_least_s=0.5,
    warm_up_at_most_s=0.5,
    window_at_least_s=1.0,
    cool_down_fixed_s=0.2,
    cool_down_at_most_s=2.0,
)
MODEL = ResolvedModel(architecture=Architecture(model_type="bert"), digest="weights")
TASK = ResolvedTask(
    inputs="single",
    labels=2,
    metric="accuracy",
    max_length=128,
    items=Items(synthetic=SyntheticItems()),
    digest="items",
)
PROTOCOL = Protocol(regime="burst", timing=TIMING, isolation="warm", passes=3, model=MODEL, task=TASK)
CELL = Cell(model="bert", task="sst2")
IDENTITY: dict[str, Any] = {"study": "s", "cell": CELL, "repetition": 1, "place": "m1", "protocol": PROTOCOL}
TRIAL = Trial(
    study="s",
    store_id="store",
    trial_id=trial_id(**IDENTITY),
    place="m1",
    block=1,
    position=1,
    cell=CELL,
    protocol=PROTOCOL,
    timeout_s=60.0,
    sampling_hz=10.0,
    thresholds=Thresholds(),
    labels={"site": "lab"},
)


def test_ids_are_the_same_in_every_release() -> None:
    """Runs resume from stores of any age, so this id must change with PROTOCOL_VERSION only."""
    assert trial_id(**IDENTITY) == "94b2ee37657169d89202"


@pytest.mark.parametrize(
    "other",
    [
        {"study": "t"},
        {"cell": replace(CELL, batch_size=2)},
        {"cell": replace(CELL, environment="container")},
        {"repetition": 2},
        {"place": "m2"},
        {"kind": "pilot"},
        {"protocol": replace(PROTOCOL, version=3)},
        {"protocol": replace(PROTOCOL, regime="sustained")},
        {"protocol": replace(PROTOCOL, isolation="cold")},
        {"protocol": replace(PROTOCOL, energy_source="pyrapl")},
        {"protocol": replace(PROTOCOL, passes=4)},
        {"protocol": replace(PROTOCOL, item_repeats=2)},
        {"protocol": replace(PROTOCOL, companions="other")},
        {"protocol": replace(PROTOCOL, timing=replace(TIMING, cool_down_fixed_s=0.3))},
        {"protocol": replace(PROTOCOL, model=replace(MODEL, digest="other"))},
        {"protocol": replace(PROTOCOL, model=replace(MODEL, head="seeded"))},
        {"protocol": replace(PROTOCOL, model=replace(MODEL, architecture=Architecture(model_type="bert", seed=1)))},
        {"protocol": replace(PROTOCOL, task=replace(TASK, digest="other"))},
        {"protocol": replace(PROTOCOL, task=replace(TASK, max_length=64))},
    ],
    ids=str,
)
def test_what_changes_the_measurement_changes_the_id(other: dict[str, Any]) -> None:
    """Two trials that measure different things never share an id."""
    assert trial_id(**IDENTITY | other) != trial_id(**IDENTITY)


@pytest.mark.parametrize(
    "model",
    [
        replace(MODEL, path="/elsewhere"),
        replace(MODEL, tokenizer="/elsewhere"),
        replace(MODEL, layers=12),
        replace(MODEL, architecture=Architecture(model_type="bert", published_as="a paper")),
    ],
    ids=["path", "tokenizer", "layers", "published_as"],
)
def test_the_path_of_a_model_is_no_part_of_the_id(model: ResolvedModel) -> None:
    """A folder counts by its bytes, so a study that was moved still resumes."""
    assert trial_id(**IDENTITY | {"protocol": replace(PROTOCOL, model=model)}) == trial_id(**IDENTITY)


def test_each_attempt_has_a_name_of_its_own() -> None:
    """A retry and a new round are new files beside the old ones."""
    names = {replace(TRIAL, attempt=a, round=r).attempt_id for a in (1, 2) for r in (1, 2)}
    assert len(names) == 4
    assert TRIAL.attempt_id == f"{TRIAL.trial_id}-r1-a1"


@pytest.mark.parametrize(
    ("model", "source"),
    [(MODEL, "seeded"), (ResolvedModel(hub=Hub(id="a/b", revision="0" * 40), digest="w"), "pretrained")],
    ids=["architecture", "hub"],
)
def test_weights_have_a_source(model: ResolvedModel, source: str) -> None:
    """Results of drawn weights are never pooled with those of trained ones."""
    assert model.weights_source == source


def test_every_mistake_in_a_trial_is_named_at_once() -> None:
    """A trial file written by hand can be fixed in one go."""
    data = trial_to_json(TRIAL) | {"attempt": 0, "timeout_s": "long", "colour": "red"}
    del data["place"]
    with pytest.raises(StudyError) as caught:
        trial_from_json(data, name="TRIAL.json")
    named = {problem.split(": ")[1] for problem in caught.value.problems}
    assert named == {"attempt", "timeout_s", "colour", "place"}
    assert "joulefleet plan" in caught.value.cure


def test_a_trial_is_read_from_its_file(tmp_path: Path) -> None:
    """`python -m agent TRIAL.json` measures what the file says."""
    (tmp_path / "trial.json").write_text(json.dumps(trial_to_json(TRIAL)), encoding="utf-8")
    assert read_trial(tmp_path / "trial.json") == TRIAL


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000], ids=["empty", "half", "utf-16", "deep"])
def test_a_file_that_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    """Any bytes that are no JSON give an error of ours."""
    (tmp_path / "trial.json").write_bytes(content)
    with pytest.raises(StudyError, match=r"trial\.json: not JSON"):
        read_trial(tmp_path / "trial.json")


def test_a_missing_file_is_an_error_of_ours(tmp_path: Path) -> None:
    """The message has the words of the operating system."""
    with pytest.raises(StudyError, match=r"cannot be read \(No such file"):
        read_trial(tmp_path / "none.json")
