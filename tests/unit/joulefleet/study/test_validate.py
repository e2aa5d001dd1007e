from dataclasses import replace
from typing import Any

import pytest

from joulefleet.study.spec import (
    Architecture,
    Factors,
    FileItems,
    Hub,
    Items,
    Lengths,
    Measure,
    Model,
    Modelled,
    Pair,
    ProofArm,
    Proofs,
    Study,
    SyntheticItems,
    Task,
    WarmUp,
    Window,
)
from joulefleet.study.validate import check_study
from joulefleet.yamlfile.reader import Location

GOOD = Study(
    name="good",
    repetitions=1,
    models={"teacher": Model(path="t"), "student": Model(path="s")},
    tasks={"sst2": Task(preset="sst2"), "stsb": Task(preset="stsb")},
    pairs={"p": Pair(teacher="teacher", student="student")},
)
HUB = Hub(id="a/b", revision="0" * 40)
ARCHITECTURE = Architecture(model_type="bert")


def models(**changed: Model) -> dict[str, Any]:
    """Return the models of the good study with some changed or added."""
    return {"models": {**GOOD.models, **changed}}


def tasks(**changed: Task) -> dict[str, Any]:
    """Return the tasks of the good study with some changed or added."""
    return {"tasks": {**GOOD.tasks, **changed}}


def synthetic(first: dict[str, float], second: dict[str, float] | None = None) -> Items:
    """Return items of these lengths."""
    return Items(synthetic=SyntheticItems(lengths=Lengths(first=first, second=second)))


def test_a_good_study_has_no_mistake() -> None:
    """The other studies are changes of this one."""
    assert check_study(GOOD) == []


@pytest.mark.parametrize(
    ("change", "location", "text"),
    [
        (models(m=Model()), ("models", "m"), "give exactly one of architecture, hub and path, not none"),
        (models(m=Model(path="m", hub=HUB)), ("models", "m"), "not hub and path"),
        (models(m=Model(path=" ")), ("models", "m", "path"), "is empty"),
        (
            models(m=Model(path="m", tasks=("sst",))),
            ("models", "m", "tasks", 0),
            "no task is named 'sst'; did you mean sst2?",
        ),
        ({"models": {**GOOD.models, "t+twice": Model(path="m")}}, ("models", "t+twice"), "kept for the proofs"),
        (
            models(m=Model(architecture=ARCHITECTURE))
            | tasks(sst2=Task(preset="sst2", items=Items(file=FileItems(path="a")))),
            ("models", "m"),
            "task sst2 has texts, and an architecture has no tokenizer",
        ),
        (tasks(t=Task(preset="mlni")), ("tasks", "t", "preset"), "no preset is named 'mlni'; did you mean mnli?"),
        (
            tasks(t=Task(labels=2, items=Items(file=FileItems(path="a")))),
            ("tasks", "t"),
            "without a preset give inputs",
        ),
        (tasks(t=Task(inputs="single", labels=2)), ("tasks", "t", "items"), "without a preset give lengths"),
        (
            tasks(t=Task(preset="sst2", items=Items())),
            ("tasks", "t", "items"),
            "exactly one of synthetic, file and hub, not none",
        ),
        (
            tasks(t=Task(preset="sst2", items=Items(file=FileItems(path="a"), synthetic=SyntheticItems()))),
            ("tasks", "t", "items"),
            "not synthetic and file",
        ),
        (
            tasks(t=Task(preset="stsb", items=Items(file=FileItems(path="a")))),
            ("tasks", "t", "items"),
            "needs text_pair",
        ),
        (
            tasks(t=Task(preset="sst2", items=Items(file=FileItems(path="a", text_pair="b")))),
            ("tasks", "t", "items"),
            "the task's inputs are single",
        ),
        (
            tasks(t=Task(preset="stsb", items=synthetic({"0": 1, "100": 9}))),
            ("tasks", "t", "items", "synthetic", "lengths"),
            "lengths of a pair need `second` too",
        ),
        (
            {"pairs": {"p": Pair(teacher="techer", student="student")}},
            ("pairs", "p", "teacher"),
            "did you mean teacher?",
        ),
        ({"pairs": {"p": Pair(teacher="teacher", student="x")}}, ("pairs", "p", "student"), "no model is named 'x'."),
        (
            {"pairs": {"p": Pair(teacher="student", student="student")}},
            ("pairs", "p"),
            "teacher and student are the same",
        ),
        (
            models(student=Model(path="s", head="seeded")),
            ("pairs", "p"),
            "unequal heads: that of teacher is own, that of student seeded",
        ),
        (
            models(student=Model(path="s", tasks=("stsb",))),
            ("pairs", "p"),
            "unequal tasks: teacher does sst2, stsb, student does stsb",
        ),
        ({"proofs": Proofs(a_a=(ProofArm(model="x", task="sst2"),))}, ("proofs", "a_a", 0), "no model is named 'x'"),
        (
            {"proofs": Proofs(twice=(ProofArm(model="teacher", task="x"),))},
            ("proofs", "twice", 0),
            "no task is named 'x'",
        ),
        (
            models(m=Model(path="m", tasks=("stsb",))) | {"proofs": Proofs(a_a=(ProofArm(model="m", task="sst2"),))},
            ("proofs", "a_a", 0),
            "m does not do sst2",
        ),
        ({"measure": Measure(window=Window(passes=1, at_least_s=60.0))}, ("measure", "window"), "not both"),
        ({"measure": Measure(window=Window(at_least_s=29.0))}, ("measure", "window", "at_least_s"), "30 s or more"),
        (
            {"measure": Measure(warm_up=WarmUp(at_least_s=2.0, at_most_s=1.0))},
            ("measure", "warm_up"),
            "at_most_s is less",
        ),
        (
            {"measure": Measure(modelled=Modelled(idle_w_per_cpu=2.0, busy_w_per_cpu=1.0))},
            ("measure", "modelled"),
            "a busy CPU draws less than an idle one",
        ),
        ({"factors": Factors(threads=(1, 2, 1))}, ("factors", "threads"), "a level is given twice"),
        ({"environments": ("bare", "bare")}, ("environments",), "one is given twice"),
    ],
)
def test_a_mistake_has_its_location(change: dict[str, Any], location: Location, text: str) -> None:
    """One wrong change of a good study gives one mistake, with the location of that change."""
    (mistake,) = check_study(replace(GOOD, **change))
    assert mistake.location == location
    assert text in mistake.text


@pytest.mark.parametrize(
    ("quantiles", "text"),
    [
        ({"none": 1, "100": 2}, "quantiles are numbers from 0 to 100"),
        ({"0": 1, "nan": 1, "100": 2}, "quantiles are numbers from 0 to 100"),
        ({"-1": 1, "0": 1, "100": 2}, "quantiles are numbers from 0 to 100"),
        ({"0": 1, "50": 1}, "give at least the quantiles 0 and 100"),
        ({}, "give at least the quantiles 0 and 100"),
        ({"0": 1, "50": 1, "50.0": 2, "100": 2}, "a quantile is given twice"),
        ({"0": 1, "50": 9, "100": 8}, "the tokens must not fall as the quantile grows"),
    ],
)
def test_lengths_that_are_no_distribution_are_refused(quantiles: dict[str, float], text: str) -> None:
    """A distribution runs from its shortest to its longest item and never falls."""
    (mistake,) = check_study(replace(GOOD, **tasks(t=Task(preset="sst2", items=synthetic(quantiles)))))
    assert mistake.location == ("tasks", "t", "items", "synthetic", "lengths", "first")
    assert text in mistake.text


def test_a_short_window_is_right_in_a_burst() -> None:
    """Only the regime sustained has a shortest window."""
    assert check_study(replace(GOOD, regime="burst", measure=Measure(window=Window(at_least_s=1.0)))) == []


def test_mistakes_do_not_hide_each_other() -> None:
    """Each part is checked, whatever is wrong with the others."""
    study = replace(
        GOOD,
        **models(m=Model()),
        tasks={"sst2": Task(preset="sst"), "stsb": Task(preset="stsb")},
        pairs={"p": Pair(teacher="x", student="y")},
        proofs=Proofs(a_a=(ProofArm(model="z", task="sst2"),)),
        measure=Measure(window=Window(passes=1, at_least_s=60.0)),
    )
    assert [mistake.location[0] for mistake in check_study(study)] == [
        "models",
        "tasks",
        "pairs",
        "pairs",
        "proofs",
        "measure",
    ]
