"""The laws of the paired ratio."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from joulefleet.stats import paired_ratio

positive = st.floats(min_value=1e-6, max_value=1e6)
blocks = st.lists(st.tuples(positive, positive), min_size=5, max_size=40)
any_value = st.none() | st.floats() | positive


def logs_vary(pairs: list[tuple[float, float]]) -> bool:
    """Return whether the blocks differ by more than rounding."""
    logs = [math.log(second / first) for first, second in pairs]
    return max(logs) - min(logs) > 1e-3


@given(blocks)
def test_swapping_the_arms_flips_the_sign_of_the_log_ratio(pairs: list[tuple[float, float]]) -> None:
    """The ratio and its limits become their reciprocals, and the p-value stays."""
    assume(logs_vary(pairs))
    first, second = [p[0] for p in pairs], [p[1] for p in pairs]
    there, back = paired_ratio(first, second), paired_ratio(second, first)
    assert there.ratio is not None
    assert there.low is not None
    assert there.high is not None
    assert back.ratio == pytest.approx(1 / there.ratio, rel=1e-12)
    assert back.low == pytest.approx(1 / there.high, rel=1e-9)
    assert back.high == pytest.approx(1 / there.low, rel=1e-9)
    assert back.p_value == pytest.approx(there.p_value, rel=1e-9)


@given(blocks, st.floats(min_value=1e-3, max_value=1e3))
def test_unit_of_the_values_does_not_matter(pairs: list[tuple[float, float]], scale: float) -> None:
    """Joules or millijoules: the ratio, its limits and its p-value are the same."""
    assume(logs_vary(pairs))
    first, second = [p[0] for p in pairs], [p[1] for p in pairs]
    plain = paired_ratio(first, second)
    scaled = paired_ratio([scale * v for v in first], [scale * v for v in second])
    assert scaled.ratio == pytest.approx(plain.ratio, rel=1e-9)
    assert scaled.low == pytest.approx(plain.low, rel=1e-6)
    assert scaled.high == pytest.approx(plain.high, rel=1e-6)
    assert scaled.p_value == pytest.approx(plain.p_value, rel=1e-6, abs=1e-300)


@given(blocks, st.floats(min_value=1e-3, max_value=1e3))
def test_student_that_costs_more_by_a_factor_has_its_ratio(pairs: list[tuple[float, float]], factor: float) -> None:
    """Multiplying the student's values multiplies the ratio."""
    first, second = [p[0] for p in pairs], [p[1] for p in pairs]
    plain, more = paired_ratio(first, second), paired_ratio(first, [factor * v for v in second])
    assert plain.ratio is not None
    assert more.ratio == pytest.approx(factor * plain.ratio, rel=1e-9)


@given(blocks)
def test_agrees_with_scipy_on_logarithms(pairs: list[tuple[float, float]]) -> None:
    """Interval and p-value are those of scipy.stats.ttest_rel on the logarithms."""
    assume(logs_vary(pairs))
    first, second = [p[0] for p in pairs], [p[1] for p in pairs]
    ours = paired_ratio(first, second)
    theirs = ttest_rel([math.log(v) for v in second], [math.log(v) for v in first])
    interval = theirs.confidence_interval(0.95)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-12)
    assert ours.low is not None
    assert ours.high is not None
    assert math.log(ours.low) == pytest.approx(interval.low, rel=1e-12, abs=1e-12)
    assert math.log(ours.high) == pytest.approx(interval.high, rel=1e-12, abs=1e-12)


@given(st.lists(st.tuples(any_value, any_value), max_size=12))
def test_every_block_counts_or_has_a_reason(pairs: list[tuple[float | None, float | None]]) -> None:
    """No values raise an error, no block is lost, and each missing result has its reason."""
    estimate = paired_ratio([p[0] for p in pairs], [p[1] for p in pairs])
    assert estimate.n_blocks + sum(estimate.exclusions.values()) == len(pairs)
    assert (estimate.ratio is None) == (estimate.n_blocks == 0)
    assert (estimate.low is None) == (estimate.interval_reason is not None)
    assert (estimate.p_value is None) == (estimate.p_reason is not None)
    if estimate.low is not None and estimate.high is not None and estimate.ratio is not None:
        assert estimate.low <= estimate.ratio <= estimate.high
