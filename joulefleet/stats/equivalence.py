"""Is the student no worse, or the same, within a margin that the study stated before."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import stdtr, stdtrit


@dataclass(frozen=True, slots=True, kw_only=True)
class WithinMargin:
    """The answer of one or of two one-sided tests at level alpha."""

    margin: float
    """As a ratio: 1.1 for ten per cent."""
    p_value: float
    holds: bool
    """p_value is below alpha, which is the same as the interval being within the margin."""
    low: float | None
    """Lower end of the interval of level 1 - 2 alpha; None for non-inferiority."""
    high: float


def non_inferior(mean: float, error: float, degrees: float, *, margin: float, alpha: float = 0.05) -> WithinMargin:
    """Whether a cost is at most (1 + `margin`) times the teacher's: one one-sided t-test.

    mean, error: of the log ratio and its standard error; degrees: of freedom. Raises ValueError for a
    margin or an error that is not above zero.
    """
    upper = _checked(margin, error)
    p_value = float(stdtr(degrees, (mean - upper) / error))
    high = math.exp(mean + float(stdtrit(degrees, 1 - alpha)) * error)
    return WithinMargin(margin=1 + margin, p_value=p_value, holds=p_value < alpha, low=None, high=high)


def equivalent(mean: float, error: float, degrees: float, *, margin: float, alpha: float = 0.05) -> WithinMargin:
    """Whether the ratio lies within 1 / (1 + `margin`) and 1 + `margin`: two one-sided t-tests.

    Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15:657 (1987). Arguments as `non_inferior`.
    """
    upper = _checked(margin, error)
    p_value = max(float(stdtr(degrees, (mean - upper) / error)), float(stdtr(degrees, -(mean + upper) / error)))
    half = float(stdtrit(degrees, 1 - alpha)) * error
    return WithinMargin(
        margin=1 + margin,
        p_value=p_value,
        holds=p_value < alpha,
        low=math.exp(mean - half),
        high=math.exp(mean + half),
    )


def _checked(margin: float, error: float) -> float:
    if margin <= 0:
        raise ValueError(f"a margin is above zero, not {margin}")
    if error <= 0:
        raise ValueError("without variance there is no test")
    return math.log1p(margin)
