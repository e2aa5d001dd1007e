"""The sign-flip test and the outliers against references."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from joulefleet.stats.nonparametric import EXACT_UP_TO, outliers, sign_flip_p

LOGS = [-0.61, -0.55, -0.72, -0.49, -0.66, -0.58, -0.63, -0.41]


def test_the_sign_flip_test_is_scipys_exact_permutation_test() -> None:
    """It is also where some log ratios have the other sign, and against another null hypothesis."""
    for logs in (LOGS, [0.3, -0.1, 0.2, 0.05, -0.02], [0.1, 0.1, -0.1, 0.1]):
        reference = stats.permutation_test(
            (np.array(logs),), np.mean, permutation_type="samples", n_resamples=2**12, vectorized=True
        )
        assert sign_flip_p(logs) == pytest.approx(reference.pvalue, abs=1e-12)
    assert sign_flip_p([value + 0.7 for value in LOGS], null_log_ratio=0.7) == pytest.approx(2 / 2**8)
    assert sign_flip_p([]) is None
    assert sign_flip_p([0.1] * (EXACT_UP_TO + 1)) is None
    assert sign_flip_p([0.1] * EXACT_UP_TO) == pytest.approx(2 / 2**EXACT_UP_TO)


def test_outliers_are_named_by_their_position() -> None:
    """The median absolute deviation is not raised by one far block, as a standard deviation would be."""
    assert outliers([0.5, 0.51, 0.49, 0.5, 0.52, 3.0]) == [5]
    assert outliers([0.5, 0.5, 0.5, 0.9]) == []
    assert outliers([]) == []
