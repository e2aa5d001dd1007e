"""The tests against margins, by statsmodels and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from joulefleet.stats.equivalence import equivalent, non_inferior


def test_equivalence_is_that_of_statsmodels() -> None:
    """It holds exactly where the interval of 90 % lies within the margins."""
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
