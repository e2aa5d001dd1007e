"""The digest of what a study states before it has data."""

from __future__ import annotations

from dataclasses import replace

import pytest

from joulefleet.study.load import study_to_json
from joulefleet.study.primary import Primary, primary_digest
from joulefleet.study.spec import Factors, Model, Pair, Study, Task

STUDY = Study(
    name="s",
    repetitions=1,
    models={name: Model(path=name) for name in ("big", "small", "other")},
    tasks={"one": Task(preset="sst2"), "two": Task(preset="mnli")},
    pairs={"p": Pair(teacher="big", student="small")},
)
MORE_TASKS = {**STUDY.tasks, "three": Task(preset="stsb")}
MORE_PAIRS = {**STUDY.pairs, "q": Pair(teacher="big", student="other")}


def digest_of(study: Study) -> str:
    """Return the digest of the primary statement of `study`."""
    return primary_digest(study_to_json(study))


@pytest.mark.parametrize(
    "changed",
    [
        replace(STUDY, primary=Primary(metric="time")),
        replace(STUDY, primary=Primary(alpha=0.01)),
        replace(STUDY, tasks=MORE_TASKS),
        replace(STUDY, pairs=MORE_PAIRS),
        replace(STUDY, pairs={"p": Pair(teacher="big", student="other")}),
        replace(STUDY, factors=Factors(batch_size=(1, 8))),
        replace(STUDY, environments=("bare", "container")),
    ],
)
def test_whatever_changes_the_family_or_its_test_changes_the_digest(changed: Study) -> None:
    """A statement that is changed after the first trial is not primary any more."""
    assert digest_of(changed) != digest_of(STUDY)


@pytest.mark.parametrize(
    "changed",
    [
        replace(STUDY, repetitions=9),
        replace(STUDY, seed=9, description="another"),
        replace(STUDY, primary=Primary(pilot_blocks=10)),
        replace(STUDY, tasks=dict(reversed(STUDY.tasks.items()))),
    ],
)
def test_what_does_not_change_the_family_keeps_the_digest(changed: Study) -> None:
    """`run` fills in the pilot blocks itself, and more blocks or another order test the same."""
    assert digest_of(changed) == digest_of(STUDY)


def test_a_study_that_names_its_primary_pairs_and_tasks_may_grow() -> None:
    """What is added is exploratory."""
    named = replace(STUDY, primary=Primary(pairs=("p",), tasks=("one", "two")))
    assert digest_of(replace(named, tasks=MORE_TASKS, pairs=MORE_PAIRS)) == digest_of(named)
