"""Effect sizes that are reported beside the ratio."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln, ndtri

_EPSILON = 1e-12
"""Distance from 0 and 1 at which the limits of Cliff's delta are searched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """An effect size with its interval."""

    value: float
    low: float
    high: float


def hedges_g(log_ratios: Sequence[float]) -> float | None:
    """Return Hedges' g of the blocks' log ratios: mean over standard deviation, without the bias of few blocks.

    It compares the effect with the noise of one block, and is no measure of its size. The exact correction is
    that of Hedges, Journal of Educational Statistics 6:107 (1981). None for fewer than three log ratios, and
    where all are equal.
    """
    if len(log_ratios) < 3 or np.std(log_ratios, ddof=1) == 0:
        return None
    degrees = len(log_ratios) - 1
    correction = math.exp(float(gammaln(degrees / 2) - gammaln((degrees - 1) / 2)))
    return float(np.mean(log_ratios) / np.std(log_ratios, ddof=1)) * correction * math.sqrt(2 / degrees)


def cliffs_delta(reference: Sequence[float], other: Sequence[float], *, confidence: float = 0.95) -> Effect:
    """Return Cliff's delta: how much more often a value of `other` is above one of `reference` than below, -1 to 1.

    Cliff, Psychological Bulletin 114:494 (1993). The interval is method 5 of Newcombe (Statistics in Medicine
    25:559, 2006), which keeps a width where the arms do not overlap: five values below five others do not
    prove that all are. The arms may have different numbers of values. Raises ValueError where one is empty.
    """
    if not len(reference) or not len(other):
        raise ValueError("both arms need values")
    first, second = np.asarray(reference, dtype=float), np.asarray(other, dtype=float)
    delta = float(np.sign(second[:, None] - first[None, :]).mean())
    theta = (delta + 1) / 2
    score = float(ndtri(0.5 + confidence / 2))
    pairs, half = len(first) * len(second), (len(first) + len(second)) / 2 - 1

    def beyond(limit: float) -> float:
        # The variance of the estimate if `limit` were the truth (Hanley and McNeil 1982, exponential model).
        variance = limit * (1 - limit) * (1 + half * ((1 - limit) / (2 - limit) + limit / (1 + limit))) / pairs
        return (limit - theta) ** 2 - score**2 * variance

    # At 0 and 1 the estimate itself solves the equation too: the other solution is wanted.
    low = 0.0 if theta <= _EPSILON else float(brentq(beyond, 0.0, min(theta, 1 - _EPSILON), xtol=1e-15))
    high = 1.0 if theta >= 1 - _EPSILON else float(brentq(beyond, max(theta, _EPSILON), 1.0, xtol=1e-15))
    return Effect(value=delta, low=2 * low - 1, high=2 * high - 1)
