"""The comparison of one match by each metric, and the circumstances of its trials."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from joulefleet.compare.contrasts import Contrast
from joulefleet.compare.estimation import Terms
from joulefleet.compare.matching import Match, by_level, matches
from joulefleet.compare.metrics import TrialValues
from joulefleet.compare.per_machine import BLOCKS_FOR_ORDER, compare_metric, facts_of
from joulefleet.store.records import StudyRecord
from tests.support.comparison_records import CONTRAST, PACKAGE, metric_of, noisy, record_of, trial
from tests.support.one_pair import one_pair

TERMS = Terms(finished=True, confidence=0.95)


@pytest.fixture
def record(tmp_path: Path) -> StudyRecord:
    """Return a study of one pair."""
    return record_of(tmp_path, one_pair())


def blocks(count: int) -> list[TrialValues]:
    """Return both trials of each block, in which big runs first."""
    return [
        trial(model, block, window_s=noisy(model, block), joules={PACKAGE: 10.0}, work_peak_bytes=1000)
        for block in range(1, count + 1)
        for model in ("big", "small")
    ]


def match_of(record: StudyRecord, trials: list[TrialValues], contrast: Contrast = CONTRAST) -> Match:
    """Return the only match of `trials`."""
    (match,) = matches(record, contrast, by_level(trials, "model"))
    return match


def test_arms_are_summarised_over_ok_trials(record: StudyRecord) -> None:
    """Failed trials are counted, and values that are not finite are left out."""
    trials = blocks(5)
    trials[0] = trials[0]._replace(status="failed", flags=["steal"])
    trials[2] = trials[2]._replace(window_s=float("inf"), flags=["steal"])
    found = compare_metric(match_of(record, trials), metric_of("time"), TERMS)
    assert (found.reference.ok, found.reference.failed, found.reference.flags) == (4, 1, {"steal": 1})
    assert found.reference.mean == pytest.approx(sum(noisy("big", block) for block in (3, 4, 5)) / 3 / 64)
    assert found.ratio.n_blocks == 3
    assert (found.flagged_blocks, found.without_flagged.n_blocks) == (1, 3)


def test_only_energy_has_a_basis(record: StudyRecord) -> None:
    """Only costs by item have the expected ratio of a proof."""
    twice = replace(CONTRAST, kind="twice", expected_ratio=2.0)
    match = match_of(record, blocks(5), twice)
    energy, memory = (compare_metric(match, metric_of(name), TERMS) for name in ("energy", "memory"))
    assert (energy.basis, memory.basis) == (PACKAGE, None)
    assert (energy.expected_ratio, energy.ratio.null_ratio) == (2.0, 2.0)
    assert (memory.expected_ratio, memory.ratio.null_ratio, memory.proof_holds) == (None, 1.0, None)


def test_an_arm_that_ran_first_in_every_block_is_named(record: StudyRecord) -> None:
    """That takes eight blocks, all in the same order."""
    assert facts_of(match_of(record, blocks(BLOCKS_FOR_ORDER - 1))).always_first is None
    trials = blocks(BLOCKS_FOR_ORDER)
    assert facts_of(match_of(record, trials)).always_first == "big"
    later = [
        one._replace(started_at=one.started_at + timedelta(minutes=9)) if one.model == "big" and one.started_at else one
        for one in trials
    ]
    assert facts_of(match_of(record, later)).always_first == "small"
    assert facts_of(match_of(record, [*later[:2], *trials[2:]])).always_first is None


def test_arms_that_took_turns_are_interleaved(record: StudyRecord) -> None:
    """Arms that ran one after the other are not, nor are trials whose times are unknown."""
    trials = blocks(4)
    assert facts_of(match_of(record, trials)).interleaved
    apart = [
        one._replace(started_at=one.started_at + timedelta(days=9)) if one.model == "small" and one.started_at else one
        for one in trials
    ]
    assert not facts_of(match_of(record, apart)).interleaved
    assert not facts_of(match_of(record, [one._replace(started_at=None) for one in trials])).interleaved


def test_boots_flags_and_lost_blocks_are_counted(record: StudyRecord) -> None:
    """Flags and ok trials are counted by arm."""
    trials = blocks(4)
    trials[1] = trials[1]._replace(boot_id="another", flags=["steal", "short_window"])
    trials[3] = trials[3]._replace(flags=["steal"])
    facts = facts_of(match_of(record, trials[:-1]))
    assert facts.boots_differ == 1
    assert facts.flags == {"big": {}, "small": {"short_window": 1, "steal": 2}}
    assert facts.ok == {"big": 4, "small": 3}
    assert (facts.unpaired_blocks, facts.reference_protocol) == (1, "protocol of big")
