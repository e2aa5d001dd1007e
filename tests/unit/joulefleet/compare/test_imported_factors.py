"""The labels of imported trials that are factors."""

from __future__ import annotations

from pathlib import Path

import pytest

from joulefleet.compare.imported_factors import pooled_labels, settle_factors
from joulefleet.compare.metrics import TrialValues
from joulefleet.store.records import StudyRecord
from tests.support.comparison_records import record_of, trial
from tests.support.one_pair import one_pair


@pytest.fixture
def record(tmp_path: Path) -> StudyRecord:
    """Return a study of the pair of big and small."""
    return record_of(tmp_path, one_pair())


def runs(model: str, labels: list[dict[str, str]], items: int | None = 64) -> list[TrialValues]:
    """Return one imported trial for each of `labels`."""
    return [
        trial(
            model,
            None,
            imported_from="a tool",
            items=items,
            imported_labels=[{"key": key, "value": value} for key, value in of_run.items()],
        )
        for of_run in labels
    ]


def test_a_label_with_several_trials_at_each_level_of_both_models_is_a_factor(record: StudyRecord) -> None:
    """Labels that only say where trials came from are no factors."""
    labels = [{"size": size, "quantised": "no", "folder": str(n)} for size in ("2", "1") for n in range(2)]
    trials = [*runs("big", labels), *runs("small", labels)]
    settled = settle_factors(trials, record)
    assert [one.imported_levels for one in settled[:4]] == ["quantised no, size 2"] * 2 + ["quantised no, size 1"] * 2
    assert pooled_labels(trials, record) == []


def test_a_label_that_numbers_the_runs_is_pooled_over(record: StudyRecord) -> None:
    """A label whose levels the two models do not share is pooled over too."""
    big = runs("big", [{"repetition": str(n), "cooled": "yes"} for n in range(3)])
    small = runs("small", [{"repetition": str(n), "cooled": "no" if n else "yes"} for n in range(3)])
    settled = settle_factors([*big, *small], record)
    assert {one.imported_levels for one in settled} == {None}
    assert pooled_labels([*big, *small], record) == ["cooled", "repetition"]


def test_joules_an_item_are_never_compared_with_joules_a_run(record: StudyRecord) -> None:
    """One ok trial without a number of items makes all trials runs; failed trials do not matter."""
    known, unknown = runs("big", [{}]), runs("small", [{}], items=None)
    assert [one.items for one in settle_factors([*known, *unknown], record)] == [None, None]
    failed = [one._replace(status="failed") for one in unknown]
    assert [one.items for one in settle_factors([*known, *failed], record)] == [64, None]
