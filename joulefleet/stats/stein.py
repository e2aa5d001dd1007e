"""The ratio after two stages: the variance of the pilot blocks alone decided how many blocks followed.

Stein, Annals of Mathematical Statistics 16:243 (1945).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import stdtr

from joulefleet.stats.paired import LOG_RESOLUTION, Estimate, log_ratios, paired_ratio
from joulefleet.stats.sample_size import stein_interval

METHOD = "paired t on the blocks' log ratios, variance of the pilot blocks (Stein)"

_NO_PILOT = "no pilot blocks that differ: their variance fixes the interval"


def two_stage_ratio(
    reference: Sequence[float | None],
    other: Sequence[float | None],
    *,
    pilot: int,
    finished: bool = True,
    confidence: float = 0.95,
    null_ratio: float = 1.0,
) -> Estimate:
    """Return the ratio as `paired_ratio` does, where the first `pilot` values of each arm are the pilot blocks'.

    The mean is of all blocks, the variance of the pilot blocks alone, with their degrees of freedom: a
    variance that decided when to stop is too small. Where the pilot blocks give no interval there is none.
    Raises ValueError where the arms have different numbers of values.
    """
    plain = paired_ratio(reference, other, finished=finished, confidence=confidence, null_ratio=null_ratio)
    first = log_ratios(reference[:pilot], other[:pilot])
    if plain.error is None or plain.ratio is None or plain.n_blocks <= len(first):
        return plain
    if len(first) < 2 or max(first) - min(first) <= LOG_RESOLUTION:
        none = replace(plain, low=None, high=None, error=None, degrees=None, p_value=None, method=METHOD)
        return replace(none, interval_reason=_NO_PILOT, p_reason=_NO_PILOT)
    variance = float(np.var(first, ddof=1))
    mean = math.log(plain.ratio)
    low, high = stein_interval(mean, variance, len(first), plain.n_blocks, confidence=confidence)
    error, degrees = math.sqrt(variance / plain.n_blocks), len(first) - 1
    tested = plain.p_value is not None
    return replace(
        plain,
        low=low,
        high=high,
        error=error,
        degrees=degrees,
        p_value=float(2 * stdtr(degrees, -abs(mean - math.log(null_ratio)) / error)) if tested else None,
        method=METHOD,
    )
