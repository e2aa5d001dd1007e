"""Effect sizes against their definitions and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from joulefleet.stats.effect_size import cliffs_delta, hedges_g

LOGS = [-0.61, -0.55, -0.72, -0.49, -0.66, -0.58, -0.63, -0.41]


def test_hedges_g_as_its_definition() -> None:
    """J(7) is 0.8882 by the table of Hedges (1981)."""
    plain = np.mean(LOGS) / np.std(LOGS, ddof=1)
    assert hedges_g(LOGS) == pytest.approx(plain * 0.8882, rel=1e-4)
    assert hedges_g([0.5]) is None
    assert hedges_g([0.5, 0.5]) is None


@given(st.lists(st.integers(0, 6), min_size=1, max_size=8), st.lists(st.integers(0, 6), min_size=1, max_size=8))
def test_cliffs_delta_has_a_width_and_is_symmetric(teacher: list[int], student: list[int]) -> None:
    """Its value follows from Mann and Whitney's U, and swapping the arms changes its sign."""
    found, other = cliffs_delta(teacher, student), cliffs_delta(student, teacher)
    u = stats.mannwhitneyu(student, teacher).statistic
    assert found.value == pytest.approx(2 * u / (len(teacher) * len(student)) - 1)
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert found.high - found.low > 0.1
    assert (other.low, other.value, other.high) == pytest.approx((-found.high, -found.value, -found.low), abs=1e-9)


def test_arms_that_do_not_overlap_are_not_certain() -> None:
    """Five values below five others give -1 with an interval, and more values a narrower one."""
    few, many = cliffs_delta([2.0] * 5, [1.0] * 5), cliffs_delta([2.0] * 50, [1.0] * 50)
    assert (few.low, few.value) == (-1, -1)
    assert few.high > many.high > -1
