"""The estimate of one match, and its checks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from joulefleet.compare.estimation import (
    Terms,
    block_log_ratios,
    checks_of,
    common_bases,
    estimate,
    log_ratios_by_machine,
    match_basis,
)
from joulefleet.compare.matching import Match, by_level, matches
from joulefleet.compare.metrics import TrialValues
from joulefleet.store.records import ImportRecord
from tests.support.comparison_records import CONTRAST, MODELLED, PACKAGE, metric_of, noisy, record_of, trial
from tests.support.one_pair import one_pair

TERMS = Terms(finished=True, confidence=0.95)
TIME, ENERGY = metric_of("time"), metric_of("energy")

Change = Callable[[TrialValues], TrialValues]


@pytest.fixture
def match_of(tmp_path: Path) -> Callable[..., Match]:
    """Return a function that makes a match of so many blocks, with each trial changed."""
    record = record_of(tmp_path, one_pair())

    def make(
        blocks: int, change: Change = lambda one: one, *, imported: bool = False, flags: tuple[str, ...] = ()
    ) -> Match:
        trials = [
            change(trial(model, block, window_s=noisy(model, block)))
            for block in range(1, blocks + 1)
            for model in ("big", "small")
        ]
        of_study = (
            replace(record, imported=ImportRecord(tool="a tool", planned={}, content="", mapping={}))
            if imported
            else record
        )
        (match,) = matches(of_study, CONTRAST, by_level(trials, "model"), exclude_flags=flags)
        return match

    return make


def test_the_estimate_is_the_mean_of_the_blocks_log_ratios(match_of: Callable[..., Match]) -> None:
    """Without blocks it is the difference of the arms' means, with a wider interval."""
    logs = [math.log(noisy("small", block) / noisy("big", block)) for block in range(1, 9)]
    match = match_of(8)
    assert block_log_ratios(match, TIME, None) == pytest.approx(logs)
    found = estimate(match, TIME, None, TERMS)
    assert found.ratio == pytest.approx(math.exp(sum(logs) / 8))
    unpaired = estimate(match_of(8, imported=True), TIME, None, TERMS)
    assert unpaired.ratio == pytest.approx(found.ratio)
    assert "Welch" in unpaired.method
    assert (unpaired.high or 0) > (found.high or 0)


def test_flagged_trials_can_be_left_out(match_of: Callable[..., Match]) -> None:
    """Where there are blocks, the whole block is left out."""

    def flag(one: TrialValues) -> TrialValues:
        return one._replace(flags=["steal"] if (one.model, one.block) == ("small", 2) else [])

    assert estimate(match_of(8, flag), TIME, None, TERMS).n_blocks == 8
    assert estimate(match_of(8, flag), TIME, None, TERMS, flagged=False).n_blocks == 7
    assert estimate(match_of(8, flag, imported=True), TIME, None, TERMS, flagged=False).n_blocks == 7


def test_pilot_blocks_alone_give_the_variance(match_of: Callable[..., Match]) -> None:
    """The degrees of freedom are those of the pilot blocks too."""
    found = estimate(match_of(14), TIME, None, replace(TERMS, pilot_blocks=10))
    assert (found.degrees, found.n_blocks) == (9, 14)
    assert estimate(match_of(14), TIME, None, TERMS).degrees == 13


def test_an_outlier_is_found_among_blocks_of_which_some_have_no_ratio(match_of: Callable[..., Match]) -> None:
    """The outlier is named by its block, not by its position among the blocks that count."""

    def change(one: TrialValues) -> TrialValues:
        if one.model == "small" and one.block in {2, 3}:
            return one._replace(window_s={2: None, 3: -1.0}[one.block])
        return one._replace(window_s=9.0) if (one.model, one.block) == ("small", 6) else one

    checks = checks_of(match_of(10, change), TIME, None, TERMS)
    assert checks.outliers == (6,)
    assert checks.without_outliers is not None
    assert checks.without_outliers.n_blocks == 7
    assert checks.without_outliers.exclusions == {"no value": 1, "value at or below zero: no ratio": 1}


def test_without_blocks_cliffs_delta_is_the_only_check(match_of: Callable[..., Match]) -> None:
    """All other checks need blocks, and the exact test also a finished study."""
    paired, unpaired = (checks_of(match_of(8, imported=imported), TIME, None, TERMS) for imported in (False, True))
    assert paired.cliffs_delta == unpaired.cliffs_delta
    assert paired.sign_flip_p == 2 / 2**8
    assert (unpaired.sign_flip_p, unpaired.hedges_g, unpaired.without_outliers) == (None, None, None)
    assert checks_of(match_of(8), TIME, None, replace(TERMS, finished=False)).sign_flip_p is None


def test_excluded_blocks_are_put_back_for_the_check(match_of: Callable[..., Match]) -> None:
    """The check has all blocks in their order."""

    def flag(one: TrialValues) -> TrialValues:
        return one._replace(flags=["steal"] if one.block == 2 else [])

    checks = checks_of(match_of(8, flag, flags=("steal",)), TIME, None, TERMS)
    assert checks.with_excluded == estimate(match_of(8), TIME, None, TERMS)


def test_the_basis_is_one_that_both_arms_have(match_of: Callable[..., Match]) -> None:
    """Counted joules are preferred, however few blocks have them; without any pair, all trials decide."""

    def some_measured(one: TrialValues) -> TrialValues:
        measured = {PACKAGE: 2.0} if (one.block or 0) <= 2 or one.model == "big" else {}
        return one._replace(joules={MODELLED: 1.0} | measured)

    match = match_of(5, some_measured)
    assert common_bases(match) == {MODELLED: 5, PACKAGE: 2}
    assert common_bases(match_of(5, some_measured, imported=True)) == {MODELLED: 5, PACKAGE: 2}
    assert match_basis(match) == PACKAGE
    assert estimate(match, ENERGY, PACKAGE, TERMS).exclusions == {"no value": 3}
    assert match_basis(match_of(5)) is None
    alone = match_of(5, lambda one: some_measured(one)._replace(status="ok" if one.model == "big" else "failed"))
    assert match_basis(alone) == PACKAGE


def test_log_ratios_are_grouped_by_cpu_model_and_machine(match_of: Callable[..., Match]) -> None:
    """A machine of unknown model stands for a model of its own, and one without a ratio is left out."""
    known, unknown = match_of(3), match_of(2, lambda one: one._replace(cpu_model=None))
    empty = match_of(2, lambda one: one._replace(window_s=None))
    grouped = log_ratios_by_machine({"a": known, "b": known, "c": unknown, "d": empty}, TIME, None)
    assert {model: {name: len(logs) for name, logs in of.items()} for model, of in grouped.items()} == {
        "CPU 1": {"a": 3, "b": 3},
        "c": {"c": 2},
    }
