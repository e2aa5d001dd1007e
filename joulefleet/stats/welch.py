"""The ratio of two arms without blocks: Welch's t procedure on the logarithms of the trials' values.

For imported data, whose trials have no block in common. Nothing takes out what differs between days
here, so the trials themselves have to be comparable; within blocks use `paired_ratio`. The arms may
vary differently and have different numbers of trials (Welch, Biometrika 34:28, 1947).
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
    """A difference of two means, of logarithms here."""

    mean: float
    """Student less teacher."""
    error: float
    """Its standard error."""
    degrees: float
    """Of freedom, by Welch and Satterthwaite: between those of the smaller arm and those of both together."""


def unpaired_ratio(
    teacher: Sequence[float | None],
    student: Sequence[float | None],
    *,
    finished: bool = True,
    confidence: float = 0.95,
    null_ratio: float = 1.0,
) -> Estimate:
    """The ratio student/teacher of the arms' geometric means, from one value a trial in any order.

    Each arm needs as many trials as `paired_ratio` needs blocks. In what it returns, `n_blocks` is the
    number of trials that count in the smaller arm, and `exclusions` counts trials of both.
    """
    excluded: Counter[str] = Counter()
    first, second = _logs(teacher, excluded), _logs(student, excluded)
    n = min(len(first), len(second))
    ratio = low = high = error = degrees = p_value = None
    interval_reason = _no_interval(first, second)
    p_reason = interval_reason or _no_test(first, second, finished=finished)
    if n:
        ratio = exp_or_inf(float(np.mean(second)) - float(np.mean(first)))
    if interval_reason is None:
        found = welch(first, second)
        error, degrees = found.error, found.degrees
        margin = float(stdtrit(found.degrees, 0.5 + confidence / 2)) * error
        low, high = exp_or_inf(found.mean - margin), exp_or_inf(found.mean + margin)
        if p_reason is None:
            p_value = float(2 * stdtr(degrees, -abs(found.mean - math.log(null_ratio)) / error))
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


def welch(teacher: Sequence[float], student: Sequence[float]) -> Welch:
    """The difference of the arms' means. Raises ValueError for fewer than two values an arm, or without variance.

    The degrees of freedom are Satterthwaite's (Biometrics Bulletin 2:110, 1946).
    """
    if min(len(teacher), len(student)) < BLOCKS_FOR_INTERVAL:
        raise ValueError(f"each arm needs {BLOCKS_FOR_INTERVAL} values")
    of_teacher, of_student = (float(np.var(arm, ddof=1)) / len(arm) for arm in (teacher, student))
    error2 = of_teacher + of_student
    if error2 <= 0:
        raise ValueError("without variance there is no test")
    # By the arms' shares of the variance: squares of small variances would be lost below the smallest double.
    share = of_teacher / error2
    return Welch(
        mean=float(np.mean(student)) - float(np.mean(teacher)),
        error=math.sqrt(error2),
        degrees=1 / (share**2 / (len(teacher) - 1) + (1 - share) ** 2 / (len(student) - 1)),
    )


def _logs(values: Sequence[float | None], excluded: Counter[str]) -> list[float]:
    """The logarithms of the values that have one; the others are counted by their reason."""
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


def _no_interval(teacher: Sequence[float], student: Sequence[float]) -> str | None:
    if min(len(teacher), len(student)) < BLOCKS_FOR_INTERVAL:
        return f"{_trials(teacher, student)}: an interval needs {BLOCKS_FOR_INTERVAL} of each"
    if all(max(arm) - min(arm) <= LOG_RESOLUTION for arm in (teacher, student)):
        return "zero variance: all trials of an arm have the same value, in both arms"
    return None


def _no_test(teacher: Sequence[float], student: Sequence[float], *, finished: bool) -> str | None:
    if not finished:
        return "the study is unfinished"
    if min(len(teacher), len(student)) < BLOCKS_FOR_TEST:
        return f"{_trials(teacher, student)}: a p-value needs {BLOCKS_FOR_TEST} of each"
    return None


def _trials(teacher: Sequence[float], student: Sequence[float]) -> str:
    first, second = (f"{len(arm)} trial{'' if len(arm) == 1 else 's'}" for arm in (teacher, student))
    return f"{first} of the teacher, {second} of the student"
