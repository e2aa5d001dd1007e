"""The exact sign-flip test: a check of the t procedure that assumes symmetry alone, no normality."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

EXACT_UP_TO = 30
"""Two halves of 2^15 sums take 10 ms; beyond, the t procedure needs no check of normality."""

_SAME = 1e-12
"""Sums closer than this part of the largest are equal: they differ by rounding alone."""


def sign_flip_p(log_ratios: Sequence[float], *, null_log_ratio: float = 0.0) -> float | None:
    """Two-sided p-value: the share of all assignments of signs whose sum is at least as far from 0 (Fisher 1935).

    None for no block and for more than `EXACT_UP_TO`. Never below 2 / 2^n: five blocks cannot be below 0.0625.
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


def _sums(values: np.ndarray) -> np.ndarray:
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums
