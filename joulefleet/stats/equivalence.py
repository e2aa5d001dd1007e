"""Tests of whether a ratio is no higher than, or within, a margin that the study stated before its data."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import stdtr, stdtrit


@dataclass(frozen=True, slots=True, kw_only=True)
class WithinMargin:
    """The result of one or of two one-sided tests at level alpha."""

    margin: float
    """The margin as a ratio: 1.1 for ten per cent."""
    p_value: float
    holds: bool
    """Whether p_value is below alpha, which is the same as the interval being within the margin."""
    low: float | None
    """Lower end of the interval of level 1 - 2 alpha; None for non-inferiority."""
    high: float


def non_inferior(mean: float, error: float, degrees: float, *, margin: float, alpha: float = 0.05) -> WithinMargin:
    """Test whether the ratio is at most 1 + `margin`, by a one-sided t-test.

    Wellek, Testing Statistical Hypotheses of Equivalence and Noninferiority (2010).

    mean: the log ratio; error: its standard error; degrees: its degrees of freedom; margin: 0.1 for ten per
    cent. Raises ValueError for a margin or an error that is not above zero.
    """
    upper = _log_margin(margin, error)
    p_value = float(stdtr(degrees, (mean - upper) / error))
    high = math.exp(mean + float(stdtrit(degrees, 1 - alpha)) * error)
    return WithinMargin(margin=1 + margin, p_value=p_value, holds=p_value < alpha, low=None, high=high)


def equivalent(mean: float, error: float, degrees: float, *, margin: float, alpha: float = 0.05) -> WithinMargin:
    """Test whether the ratio lies within 1 / (1 + `margin`) and 1 + `margin`, by two one-sided t-tests.

    Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15:657 (1987). Arguments and errors as of
    `non_inferior`.
    """
    upper = _log_margin(margin, error)
    p_value = max(float(stdtr(degrees, (mean - upper) / error)), float(stdtr(degrees, -(mean + upper) / error)))
    half = float(stdtrit(degrees, 1 - alpha)) * error
    return WithinMargin(
        margin=1 + margin,
        p_value=p_value,
        holds=p_value < alpha,
        low=math.exp(mean - half),
        high=math.exp(mean + half),
    )


def _log_margin(margin: float, error: float) -> float:
    if margin <= 0:
        raise ValueError(f"a margin is above zero, not {margin}")
    if error <= 0:
        raise ValueError("without variance there is no test")
    return math.log1p(margin)
