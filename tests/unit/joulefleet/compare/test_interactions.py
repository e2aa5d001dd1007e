"""The ratio of a pair at one level over its ratio at another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from joulefleet.compare.estimation import Terms
from joulefleet.compare.interactions import find_interactions
from joulefleet.compare.matching import by_level, matches
from joulefleet.compare.metrics import TrialValues
from joulefleet.compare.results import MetricComparison
from joulefleet.store.records import StudyRecord
from tests.support.comparison_records import CONTRAST, metric_of, noisy, record_of, trial
from tests.support.one_pair import PROOFS, one_pair

BATCHES = replace(
    CONTRAST, by="batch_size", kind="level", name="8 / 1", reference=1, other=8, reference_name="1", other_name="8"
)


@pytest.fixture
def record(tmp_path: Path) -> StudyRecord:
    """Return a study of one pair with proofs."""
    return record_of(tmp_path, one_pair(more=PROOFS))


def trials(blocks: int = 5) -> list[TrialValues]:
    """Return trials in which the student takes half the teacher's time at batch 1, and three quarters at batch 8."""
    return [
        trial(model, block, batch_size=size, window_s=noisy(model, block, ratio))
        for block in range(1, blocks + 1)
        for size, ratio in ((1, 0.5), (8, 0.75))
        for model in ("big", "small")
    ]


def interactions(record: StudyRecord, rows: list[TrialValues]) -> list[MetricComparison]:
    """Return the interactions by time."""
    matched = list(matches(record, BATCHES, by_level(rows, "batch_size")))
    return list(find_interactions(record, matched, [metric_of("time")], Terms(finished=True, confidence=0.95)))


def test_it_is_the_ratio_of_the_ratios_within_blocks(record: StudyRecord) -> None:
    """The arms are the two ratios, in which the differences between blocks cancel."""
    (found,) = interactions(record, trials())
    assert (found.kind, found.pair, found.unit) == ("interaction", "p", "")
    assert found.ratio.ratio == pytest.approx(1.5)
    assert found.ratio.n_blocks == 5
    assert (found.reference.median, found.other.median) == pytest.approx((0.5, 0.75), rel=0.02)


def test_a_block_counts_where_all_four_trials_are_there(record: StudyRecord) -> None:
    """A block with a flag is left out of the second estimate only."""
    rows = trials()
    rows[0] = rows[0]._replace(status="failed")
    rows[5] = rows[5]._replace(flags=["steal"])
    (found,) = interactions(record, rows)
    assert (found.ratio.n_blocks, found.flagged_blocks, found.without_flagged.n_blocks) == (4, 1, 3)


def test_a_pair_of_which_one_model_is_missing_has_none(record: StudyRecord) -> None:
    """Proofs have no interaction either, as their ratio is known."""
    assert interactions(record, [row for row in trials() if row.model == "big"]) == []
    assert len(interactions(record, trials())) == 1
