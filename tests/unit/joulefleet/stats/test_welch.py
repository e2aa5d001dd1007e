"""The ratio of arms without blocks against scipy, and the cases without interval or p-value."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from joulefleet.stats import unpaired_ratio
from joulefleet.stats.welch import METHOD, welch


@pytest.mark.parametrize(("teachers", "students"), [(5, 5), (5, 40), (30, 7), (200, 300)])
@pytest.mark.parametrize("spread", [1.0, 20.0])
def test_it_is_scipys_welch_on_the_logarithms(teachers: int, students: int, spread: float) -> None:
    """The arms have different sizes and variances; interval and p-value come from one procedure."""
    rng = np.random.default_rng(teachers * 1000 + students)
    first = rng.normal(3.0, 0.05, teachers)
    second = rng.normal(2.99, 0.05 * spread, students)
    reference = stats.ttest_ind(second, first, equal_var=False)
    for confidence in (0.9, 0.95, 0.99):
        found = unpaired_ratio(list(np.exp(first)), list(np.exp(second)), confidence=confidence)
        interval = reference.confidence_interval(confidence)
        assert found.low is not None
        assert found.high is not None
        assert math.log(found.low) == pytest.approx(interval.low, rel=1e-10)
        assert math.log(found.high) == pytest.approx(interval.high, rel=1e-10)
        assert found.p_value == pytest.approx(reference.pvalue, rel=1e-10)
        assert found.degrees == pytest.approx(reference.df, rel=1e-10)
        assert found.n_blocks == min(teachers, students)
        assert found.method == METHOD
    assert welch(list(first), list(second)).degrees == pytest.approx(reference.df, rel=1e-10)


def test_null_ratio_moves_the_p_value_alone() -> None:
    """The p-value is that of scipy for arms of which one is shifted by the null ratio."""
    rng = np.random.default_rng(2)
    first, second = rng.normal(0.0, 0.1, 8), rng.normal(0.65, 0.2, 9)
    one, two = (unpaired_ratio(list(np.exp(first)), list(np.exp(second)), null_ratio=null) for null in (1.0, 2.0))
    reference = stats.ttest_ind(second - math.log(2), first, equal_var=False)
    assert two.p_value == pytest.approx(reference.pvalue, rel=1e-10)
    assert (one.low, one.high) == (two.low, two.high)


def test_an_arm_that_does_not_vary_leaves_the_other_its_own_t() -> None:
    """All variance and all degrees of freedom are those of the other arm."""
    student = [0.5, 0.55, 0.48, 0.52, 0.51]
    found = unpaired_ratio([1.0] * 9, student)
    interval = stats.ttest_1samp(np.log(student), 0.0).confidence_interval()
    assert found.low == pytest.approx(math.exp(interval.low), rel=1e-10)
    assert found.high == pytest.approx(math.exp(interval.high), rel=1e-10)


def test_arms_that_do_not_vary_have_no_test() -> None:
    """Values that are equal up to rounding give neither an interval of zero width nor a p-value of zero."""
    found = unpaired_ratio([0.3, 0.1 * 3, 0.3, 0.3, 0.3], [0.7, 0.1 * 7, 0.7, 0.7, 0.7])
    assert found.ratio == pytest.approx(7 / 3)
    assert (found.low, found.high, found.error, found.p_value) == (None, None, None, None)
    reason = "zero variance: all trials of an arm have the same value, in both arms"
    assert found.interval_reason == found.p_reason == reason
    with pytest.raises(ValueError, match="without variance"):
        welch([0.0, 0.0], [1.0, 1.0])


def test_too_few_trials_say_so() -> None:
    """A ratio needs one trial in each arm, an interval two and a p-value five."""
    assert unpaired_ratio([], [1.0]).ratio is None
    assert unpaired_ratio([], [1.0]).interval_reason == (
        "0 trials of the teacher, 1 trial of the student: an interval needs 2 of each"
    )
    assert unpaired_ratio([2.0, 2.1, 2.2], [1.0]).low is None
    assert unpaired_ratio([2.0], [1.0]).ratio == pytest.approx(0.5)
    few = unpaired_ratio([2.0, 2.1, 2.2, 2.0, 2.1], [1.0, 1.1, 1.0, 1.2])
    assert few.low is not None
    assert few.p_value is None
    assert few.p_reason == "5 trials of the teacher, 4 trials of the student: a p-value needs 5 of each"
    with pytest.raises(ValueError, match="each arm needs 2"):
        welch([0.0], [1.0, 2.0])


def test_an_unfinished_study_has_no_p_value() -> None:
    """The number of trials does not matter."""
    found = unpaired_ratio([2.0, 2.1, 2.2, 2.0, 2.1], [1.0, 1.1, 1.0, 1.2, 1.0], finished=False)
    assert found.low is not None
    assert (found.p_value, found.p_reason) == (None, "the study is unfinished")


def test_trials_without_a_ratio_are_counted_by_reason() -> None:
    """Each trial is excluded by itself, as there are no pairs."""
    found = unpaired_ratio([1.0, None, 1.1, -1.0, math.inf, 2.0], [0.5, 0.6, 0.0, 0.55])
    assert found.n_blocks == 3
    assert found.exclusions == {"no value": 1, "value at or below zero: no ratio": 2, "value not finite": 1}


def test_limit_beyond_a_double_is_infinite() -> None:
    """Two very different trials give an infinite limit and no error."""
    found = unpaired_ratio([1e-300, 1e300], [1.0, 2.0])
    assert (found.low, found.high) == (0.0, math.inf)
