"""Checks of the paired t procedure that assume no normal distribution: sign flips, and outliers by the median."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

EXACT_UP_TO = 30
"""Most blocks of the sign-flip test: two halves of 2^15 sums take 10 ms; with more the t procedure needs no check."""

OUTLIER_LIMIT = 3.5
"""Limit of the modified z-score: Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993)."""

VALUES_FOR_OUTLIERS = 5
"""Fewest values among which outliers are searched: of three or four, the farthest would be one in half of all cases."""

_SAME = 1e-12
"""Sums closer than this part of the largest are equal: they differ by rounding alone."""

_MAD_TO_DEVIATION = 1.482602218505602
"""1 / the 75 % quantile of the standard normal: the median absolute deviation of normal values times this is their
standard deviation."""


def sign_flip_p(log_ratios: Sequence[float], *, null_log_ratio: float = 0.0) -> float | None:
    """Return the two-sided p-value of the exact sign-flip test: log ratios are symmetric about `null_log_ratio`.

    It is the share of all assignments of signs whose sum is at least as far from 0: Fisher, The Design of
    Experiments (1935), section 21. Never below 2 / 2^n: five blocks cannot be below 0.0625. None for no
    block and for more than EXACT_UP_TO.
    """
    n = len(log_ratios)
    if not 0 < n <= EXACT_UP_TO:
        return None
    values = np.asarray(log_ratios, dtype=float) - null_log_ratio
    observed = abs(math.fsum(values)) - _SAME * float(np.sum(np.abs(values)))
    if observed <= 0:
        return 1.0
    # Every sum is one of the first half of the values and one of the second: 2^(n/2) of each are enough to
    # count all. By symmetry as many are far below 0 as above.
    first, second = _sums(values[: n // 2]), np.sort(_sums(values[n // 2 :]))
    reaching = len(second) * len(first) - int(np.sum(np.searchsorted(second, observed - first, side="left")))
    return float(2 * reaching / 2**n)


def outliers(log_ratios: Sequence[float]) -> list[int]:
    """Return the positions of the values more than OUTLIER_LIMIT robust standard deviations from the median.

    The robust standard deviation is the median absolute deviation, scaled for normal values. Empty for fewer than
    VALUES_FOR_OUTLIERS values, and where that deviation is 0.
    """
    values = np.asarray(log_ratios, dtype=float)
    if len(values) < VALUES_FOR_OUTLIERS:
        return []
    off = np.abs(values - np.median(values))
    deviation = float(np.median(off)) * _MAD_TO_DEVIATION
    return [int(index) for index in np.flatnonzero(off > OUTLIER_LIMIT * deviation)] if deviation > 0 else []


def _sums(values: np.ndarray) -> np.ndarray:
    """Return the sums of `values` with every assignment of signs, 2^n of them."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums
