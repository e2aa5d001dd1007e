"""Blocks that stand far off: named, never removed in silence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FAR = 3.5
"""Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993): the modified z-score's usual limit."""

LEAST = 5
"""Of three or four values the median deviation is one of two: the farthest is far off as often as not."""

_NORMAL = 1.482602218505602
"""1 / the 75 % quantile of the standard normal: a MAD of normal values times this is their standard deviation."""


def outliers(log_ratios: Sequence[float]) -> list[int]:
    """The positions of values more than FAR robust standard deviations from the median.

    None of fewer than LEAST values, or without a spread.
    """
    values = np.asarray(log_ratios, dtype=float)
    if len(values) < LEAST:
        return []
    off = np.abs(values - np.median(values))
    spread = float(np.median(off)) * _NORMAL
    return [int(index) for index in np.flatnonzero(off > FAR * spread)] if spread > 0 else []
