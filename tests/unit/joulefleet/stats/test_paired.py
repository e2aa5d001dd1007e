"""The paired ratio on worked examples, and the cases without interval or p-value."""

from __future__ import annotations

import math

import pytest

from joulefleet.stats import paired_ratio


def test_worked_example() -> None:
    """Log ratios -1, 0, 1, 2, 3: mean 1, standard error sqrt(2.5/5), t = 1.41421 on 4 degrees of freedom."""
    student = [math.exp(x) for x in (-1, 0, 1, 2, 3)]
    estimate = paired_ratio([1.0] * 5, student)
    assert estimate.ratio == pytest.approx(math.e)
    # 2.776445 is the 97.5 % quantile of t(4) in any table.
    assert estimate.low == pytest.approx(math.exp(1 - 2.776445105 * math.sqrt(0.5)))
    assert estimate.high == pytest.approx(math.exp(1 + 2.776445105 * math.sqrt(0.5)))
    assert estimate.p_value == pytest.approx(0.2301996, abs=1e-6)
    assert estimate.n_blocks == 5


def test_interval_and_p_value_agree_about_one() -> None:
    """The interval excludes 1 exactly where the p-value is below 0.05."""
    for shift in (0.05, 0.08, 0.1, 0.12, 0.2):
        estimate = paired_ratio([1.0] * 6, [math.exp(shift + x) for x in (-0.1, -0.05, 0, 0, 0.05, 0.1)])
        assert estimate.p_value is not None
        assert (estimate.p_value < 0.05) == (not estimate.holds(1.0))


def test_no_block_has_no_ratio() -> None:
    """The reason names the number of blocks that it needs."""
    estimate = paired_ratio([], [])
    assert (estimate.ratio, estimate.low, estimate.p_value) == (None, None, None)
    assert estimate.interval_reason == "no block: an interval needs 2"
    assert estimate.holds(1.0) is None


def test_one_block_has_a_ratio_and_no_interval() -> None:
    """One block does not show how blocks differ."""
    estimate = paired_ratio([2.0], [1.0])
    assert estimate.ratio == pytest.approx(0.5)
    assert estimate.interval_reason == "1 block: an interval needs 2"


def test_four_blocks_have_no_p_value() -> None:
    """The interval stays, and the missing p-value has its reason."""
    estimate = paired_ratio([1.0] * 4, [0.5, 0.51, 0.49, 0.5])
    assert estimate.low is not None
    assert estimate.p_reason == "4 blocks: a p-value needs 5"


def test_unfinished_study_has_no_p_value() -> None:
    """The number of blocks does not matter."""
    estimate = paired_ratio([1.0] * 6, [0.5, 0.51, 0.49, 0.5, 0.52, 0.48], finished=False)
    assert estimate.low is not None
    assert estimate.p_value is None
    assert estimate.p_reason == "the study is unfinished"


def test_zero_variance_has_no_test() -> None:
    """Ratios that are equal up to rounding give neither an interval of zero width nor a p-value of zero."""
    estimate = paired_ratio([1.0, 3.0, 7.0, 0.1, 9.0], [0.3, 0.9, 2.1, 0.03, 2.7])
    assert estimate.ratio == pytest.approx(0.3)
    assert (estimate.low, estimate.p_value) == (None, None)
    assert estimate.interval_reason == estimate.p_reason == "zero variance: every block has the same ratio"


def test_excluded_blocks_are_counted_by_reason() -> None:
    """A missing, zero or negative value excludes its whole block, and the reason is counted."""
    estimate = paired_ratio([1.0, None, 1.0, -1.0, math.inf, 2.0], [0.5, 1.0, 0.0, 1.0, 1.0, 1.1])
    assert estimate.n_blocks == 2
    assert estimate.exclusions == {"no value": 1, "value at or below zero: no ratio": 2, "value not finite": 1}


def test_arms_of_different_lengths_are_refused() -> None:
    """Values without a partner are refused."""
    with pytest.raises(ValueError, match="argument"):
        paired_ratio([1.0], [])


def test_limit_beyond_a_double_is_infinite() -> None:
    """Two very different blocks give an infinite limit and no error."""
    estimate = paired_ratio([1e-300, 1.0], [1e300, 1.0])
    assert estimate.high == math.inf
    assert estimate.low == 0.0


def test_null_ratio_is_what_the_p_value_is_about() -> None:
    """A ratio near 2 has a small p-value against 1 and a large one against 2."""
    student = [2.0, 2.02, 1.98, 2.01, 1.99]
    far, near = paired_ratio([1.0] * 5, student), paired_ratio([1.0] * 5, student, null_ratio=2.0)
    assert far.p_value is not None
    assert near.p_value is not None
    assert far.p_value < 1e-6
    assert near.p_value > 0.5
