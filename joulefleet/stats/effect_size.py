"""Effect sizes beside the ratio, with intervals that never have a width of zero."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln, ndtri

_INSIDE = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """An effect size with its interval."""

    value: float
    low: float
    high: float


def hedges_g(log_ratios: Sequence[float]) -> float | None:
    """Standardised mean of the blocks' log ratios, without the bias of few blocks; None below three, or all equal.

    Mean over standard deviation, times Hedges' exact correction (Journal of Educational Statistics
    6:107, 1981). Says how the effect compares with the noise of one block, not how large it is.
    """
    if len(log_ratios) < 3 or np.std(log_ratios, ddof=1) == 0:
        return None
    degrees = len(log_ratios) - 1
    correction = math.exp(float(gammaln(degrees / 2) - gammaln((degrees - 1) / 2)))
    return float(np.mean(log_ratios) / np.std(log_ratios, ddof=1)) * correction * math.sqrt(2 / degrees)


def cliffs_delta(teacher: Sequence[float], student: Sequence[float], *, confidence: float = 0.95) -> Effect:
    """How much more often a student's value is above a teacher's than below it, from -1 to 1.

    The interval is method 5 of Newcombe (Statistics in Medicine 25:559, 2006), which keeps a width where
    the arms do not overlap at all: all of 5 below all of 5 does not mean all. Raises ValueError where
    an arm is empty.
    """
    if not len(teacher) or not len(student):
        raise ValueError("both arms need values")
    first, second = np.asarray(teacher, dtype=float), np.asarray(student, dtype=float)
    above = np.sign(second[:, None] - first[None, :])
    delta = float(above.mean())
    theta = (delta + 1) / 2
    score = float(ndtri(0.5 + confidence / 2))
    pairs, half = len(first) * len(second), (len(first) + len(second)) / 2 - 1

    def beyond(limit: float) -> float:
        # The variance of the estimate were `limit` the truth (Hanley and McNeil 1982, exponential model).
        variance = limit * (1 - limit) * (1 + half * ((1 - limit) / (2 - limit) + limit / (1 + limit))) / pairs
        return (limit - theta) ** 2 - score**2 * variance

    # At 0 and 1 the estimate itself solves the equation too: look beside it.
    low = 0.0 if theta <= _INSIDE else float(brentq(beyond, 0.0, min(theta, 1 - _INSIDE), xtol=1e-15))
    high = 1.0 if theta >= 1 - _INSIDE else float(brentq(beyond, max(theta, _INSIDE), 1.0, xtol=1e-15))
    return Effect(value=delta, low=2 * low - 1, high=2 * high - 1)
