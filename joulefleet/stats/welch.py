"""The ratio of two arms without blocks: Welch's t procedure on the logarithms of the trials' values.

It is for imported data and for machines, whose trials have no block in common. Differences between days are not
removed here, so the trials themselves have to be comparable; within blocks use `paired_ratio`. The arms
may have different variances and different numbers of trials: Welch, Biometrika 34:28 (1947).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from joulefleet.stats.paired import (
    BLOCKS_FOR_INTERVAL,
    BLOCKS_FOR_TEST,
    LOG_RESOLUTION,
    Estimate,
    exp_or_inf,
)

METHOD = "Welch's t on the trials' logarithms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Welch:
    """A difference of two means."""

    mean: float
    """Mean of the other arm less mean of the reference."""
    error: float
    """Standard error of the difference."""
    degrees: float
    """Degrees of freedom, between those of the smaller arm and those of both arms together."""


def unpaired_ratio(
    reference: Sequence[float | None],
    other: Sequence[float | None],
    *,
    finished: bool = True,
    confidence: float = 0.95,
    null_ratio: float = 1.0,
) -> Estimate:
    """Return the ratio other/reference of the arms' geometric means, from one value a trial in any order.

    Each arm needs as many trials as `paired_ratio` needs blocks, and may have more than the other. In the
    estimate, `n_blocks` is the number of trials that count in the smaller arm, and `exclusions` counts trials
    of both. `finished` and `null_ratio` as of `paired_ratio`.
    """
    excluded: Counter[str] = Counter()
    first, second = _logs(reference, excluded), _logs(other, excluded)
    n = min(len(first), len(second))
    ratio = low = high = error = degrees = p_value = None
    interval_reason = _no_interval(first, second)
    p_reason = interval_reason or _no_test(first, second, finished=finished)
    if n:
        ratio = exp_or_inf(float(np.mean(second)) - float(np.mean(first)))
    if interval_reason is None:
        difference = welch(first, second)
        error, degrees = difference.error, difference.degrees
        margin = float(stdtrit(degrees, 0.5 + confidence / 2)) * error
        low, high = exp_or_inf(difference.mean - margin), exp_or_inf(difference.mean + margin)
        if p_reason is None:
            p_value = float(2 * stdtr(degrees, -abs(difference.mean - math.log(null_ratio)) / error))
    return Estimate(
        ratio=ratio,
        low=low,
        high=high,
        interval_reason=interval_reason,
        error=error,
        degrees=degrees,
        p_value=p_value,
        p_reason=p_reason,
        n_blocks=n,
        exclusions=dict(sorted(excluded.items())),
        confidence=confidence,
        null_ratio=null_ratio,
        method=METHOD,
    )


def welch(reference: Sequence[float], other: Sequence[float]) -> Welch:
    """Return the difference of the arms' means, with the degrees of freedom of Satterthwaite.

    Welch, Biometrika 34:28 (1947); Satterthwaite, Biometrics Bulletin 2:110 (1946). Raises ValueError for
    fewer than two values in an arm, and where neither arm has a variance.
    """
    if min(len(reference), len(other)) < BLOCKS_FOR_INTERVAL:
        raise ValueError(f"each arm needs {BLOCKS_FOR_INTERVAL} values")
    of_reference, of_other = (float(np.var(arm, ddof=1)) / len(arm) for arm in (reference, other))
    error2 = of_reference + of_other
    if error2 <= 0:
        raise ValueError("without variance there is no test")
    # From the arms' shares of the variance, as squares of small variances may be below the smallest double.
    share = of_reference / error2
    return Welch(
        mean=float(np.mean(other)) - float(np.mean(reference)),
        error=math.sqrt(error2),
        degrees=1 / (share**2 / (len(reference) - 1) + (1 - share) ** 2 / (len(other) - 1)),
    )


def _logs(values: Sequence[float | None], excluded: Counter[str]) -> list[float]:
    """Return the logarithms of the values that have one; count the others in `excluded` by their reason."""
    logs = []
    for value in values:
        if value is None:
            excluded["no value"] += 1
        elif not math.isfinite(value):
            excluded["value not finite"] += 1
        elif value <= 0:
            excluded["value at or below zero: no ratio"] += 1
        else:
            logs.append(math.log(value))
    return logs


def _no_interval(reference: Sequence[float], other: Sequence[float]) -> str | None:
    if min(len(reference), len(other)) < BLOCKS_FOR_INTERVAL:
        return f"{_trials(reference, other)}: an interval needs {BLOCKS_FOR_INTERVAL} of each"
    if all(max(arm) - min(arm) <= LOG_RESOLUTION for arm in (reference, other)):
        return "zero variance: all trials of an arm have the same value, in both arms"
    return None


def _no_test(reference: Sequence[float], other: Sequence[float], *, finished: bool) -> str | None:
    if not finished:
        return "the study is unfinished"
    if min(len(reference), len(other)) < BLOCKS_FOR_TEST:
        return f"{_trials(reference, other)}: a p-value needs {BLOCKS_FOR_TEST} of each"
    return None


def _trials(reference: Sequence[float], other: Sequence[float]) -> str:
    first, second = (f"{len(arm)} trial{'' if len(arm) == 1 else 's'}" for arm in (reference, other))
    return f"{first} of the teacher, {second} of the student"
