"""The exact sign-flip test: a check of the t procedure that assumes symmetry alone, no normality."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

EXACT_UP_TO = 20
"""2^20 assignments of signs take a tenth of a second; beyond, the t procedure needs no check of normality."""

_SAME = 1e-12
"""Sums closer than this part of the largest are equal: they differ by rounding alone."""


def sign_flip_p(log_ratios: Sequence[float], *, null_log_ratio: float = 0.0) -> float | None:
    """Two-sided p-value: the share of all assignments of signs whose sum is at least as far from 0 (Fisher 1935).

    None for no block and for more than `EXACT_UP_TO`. Never below 2 / 2^n: five blocks cannot be below 0.0625.
    """
    n = len(log_ratios)
    if not 0 < n <= EXACT_UP_TO:
        return None
    sums = np.zeros(1)
    for value in np.asarray(log_ratios, dtype=float) - null_log_ratio:
        sums = np.concatenate([sums + value, sums - value])
    observed = abs(math.fsum(value - null_log_ratio for value in log_ratios))
    return float(np.mean(np.abs(sums) >= observed - _SAME * float(np.max(np.abs(sums)))))
