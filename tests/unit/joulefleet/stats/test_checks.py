"""Effect sizes, sign flips, families, margins, sizes and outliers against references."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from joulefleet.stats.effect_size import cliffs_delta, hedges_g
from joulefleet.stats.equivalence import equivalent, non_inferior
from joulefleet.stats.multiplicity import holm
from joulefleet.stats.nonparametric import EXACT_UP_TO, outliers, sign_flip_p
from joulefleet.stats.sample_size import size, stein_blocks, stein_interval

LOGS = [-0.61, -0.55, -0.72, -0.49, -0.66, -0.58, -0.63, -0.41]
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_the_sign_flip_test_is_scipys_exact_permutation_test() -> None:
    """Also where some log ratios are of the other sign, and against another null."""
    for logs in (LOGS, [0.3, -0.1, 0.2, 0.05, -0.02], [0.1, 0.1, -0.1, 0.1]):
        reference = stats.permutation_test(
            (np.array(logs),), np.mean, permutation_type="samples", n_resamples=2**12, vectorized=True
        )
        assert sign_flip_p(logs) == pytest.approx(reference.pvalue, abs=1e-12)
    assert sign_flip_p([value + 0.7 for value in LOGS], null_log_ratio=0.7) == pytest.approx(2 / 2**8)
    assert sign_flip_p([]) is None
    assert sign_flip_p([0.1] * (EXACT_UP_TO + 1)) is None
    assert sign_flip_p([0.1] * EXACT_UP_TO) == pytest.approx(2 / 2**EXACT_UP_TO)


@given(P_VALUES)
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    """In whatever order they come."""
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)


def test_equivalence_is_that_of_statsmodels() -> None:
    """And holds exactly where the interval of 90 % lies within the margins."""
    logs = [0.01, -0.02, 0.03, 0.0, 0.02, -0.01]
    described = DescrStatsW(np.array(logs))
    for margin in (0.01, 0.02, 0.03, 0.05, 0.1):
        bound = math.log1p(margin)
        reference = described.ttost_mean(-bound, bound)[0]
        found = equivalent(described.mean, described.std_mean, 5, margin=margin)
        assert found.p_value == pytest.approx(reference, rel=1e-8)
        assert found.low is not None
        assert found.holds == (1 / (1 + margin) < found.low and found.high < 1 + margin)
        one_sided = stats.ttest_1samp(logs, bound, alternative="less").pvalue
        assert non_inferior(described.mean, described.std_mean, 5, margin=margin).p_value == pytest.approx(one_sided)
    with pytest.raises(ValueError, match="margin"):
        equivalent(0.0, 0.1, 5, margin=0.0)
    with pytest.raises(ValueError, match="without variance"):
        non_inferior(0.0, 0.0, 5, margin=0.1)


def test_hedges_g_as_its_definition() -> None:
    """J(7) is 0.8882 by the table of Hedges (1981)."""
    plain = np.mean(LOGS) / np.std(LOGS, ddof=1)
    assert hedges_g(LOGS) == pytest.approx(plain * 0.8882, rel=1e-4)
    assert hedges_g([0.5]) is None
    assert hedges_g([0.5, 0.5]) is None


@given(st.lists(st.integers(0, 6), min_size=1, max_size=8), st.lists(st.integers(0, 6), min_size=1, max_size=8))
def test_cliffs_delta_has_a_width_and_is_symmetric(teacher: list[int], student: list[int]) -> None:
    """It is Mann and Whitney's U in other words, and swapping the arms turns its sign."""
    found, other = cliffs_delta(teacher, student), cliffs_delta(student, teacher)
    u = stats.mannwhitneyu(student, teacher).statistic
    assert found.value == pytest.approx(2 * u / (len(teacher) * len(student)) - 1)
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert found.high - found.low > 0.1
    assert (other.low, other.value, other.high) == pytest.approx((-found.high, -found.value, -found.low), abs=1e-9)


def test_arms_that_do_not_overlap_are_not_certain() -> None:
    """Five below five: at one end, with room at the other; less of it with more of them."""
    few, many = cliffs_delta([2.0] * 5, [1.0] * 5), cliffs_delta([2.0] * 50, [1.0] * 50)
    assert (few.low, few.value) == (-1, -1)
    assert few.high > many.high > -1


def test_steins_two_stages_cover_whatever_the_variance() -> None:
    """20,000 studies each: 95 % within three standard errors or above, and no interval wider than asked."""
    rng = np.random.default_rng(1945)
    for sigma in (0.02, 0.1, 0.3):
        studies, pilots = 20_000, 10
        first = rng.normal(0.0, sigma, (studies, pilots))
        variances = first.var(axis=1, ddof=1)
        covered = 0
        for row, variance in zip(first, variances, strict=True):
            blocks = stein_blocks(float(variance), pilots, factor=1.05)
            # The mean of the further blocks at once: only their sum is needed.
            rest = rng.normal(0.0, sigma * math.sqrt(blocks - pilots)) if blocks > pilots else 0.0
            low, high = stein_interval((float(row.sum()) + rest) / blocks, float(variance), pilots, blocks)
            covered += low <= 1.0 <= high
            assert high / low <= 1.05**2 * (1 + 1e-12)
        assert covered / studies >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / studies)
    with pytest.raises(ValueError, match="10 blocks or more"):
        stein_blocks(0.1, 9, factor=1.05)


def test_a_size_is_the_smallest_that_is_enough() -> None:
    """One machine by its blocks; several by how they differ, where no number of blocks may be enough."""
    one = size(0.0, 0.01, 1, factor=1.05)
    assert one.blocks is not None
    assert one.factor is not None

    def half(blocks: int) -> float:
        return float(stats.t.ppf(0.975, blocks - 1) * math.sqrt(0.01 / blocks))

    assert half(one.blocks) <= math.log(1.05) < half(one.blocks - 1)
    assert one.factor == pytest.approx(math.exp(half(one.blocks)))
    assert size(0.04, 0.01, 5, factor=1.05).blocks is None
    assert size(0.0, 0.01, 30, factor=1.5).blocks == 2
    with pytest.raises(ValueError, match="two"):
        size(0.0, 0.01, 2, factor=1.05)
    with pytest.raises(ValueError, match="factor"):
        size(0.0, 0.01, 3, factor=1.0)


def test_outliers_are_named_by_their_position() -> None:
    """By the median absolute deviation: one far block does not hide itself, as it would in a standard deviation."""
    assert outliers([0.5, 0.51, 0.49, 0.5, 0.52, 3.0]) == [5]
    assert outliers([0.5, 0.5, 0.5, 0.9]) == []
    assert outliers([]) == []
