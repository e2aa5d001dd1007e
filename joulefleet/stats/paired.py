"""The ratio of two arms within blocks: a paired t procedure on the blocks' log ratios.

Pairing takes out what a block has in common (day, temperature, boot); logarithms make the ratio
symmetric in its arms and a mean of ratios meaningful. Interval and p-value come from the same
procedure, so they never contradict each other.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

METHOD = "paired t on the blocks' log ratios"

BLOCKS_FOR_INTERVAL = 2
"""One block says nothing about how blocks differ."""

BLOCKS_FOR_TEST = 5
"""Below this a p-value would rest on normality alone: the exact sign-flip test of 4 blocks never falls
below 2 / 2^4 = 0.125."""

LOG_RESOLUTION = 1e-12
"""Log ratios closer than this are equal: doubles of equal ratios differ by some 1e-15 in their logarithms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A ratio student/teacher with its interval. What is None has its reason beside it."""

    ratio: float | None
    """Geometric mean of the blocks' ratios."""
    low: float | None
    high: float | None
    interval_reason: str | None
    """Why there is no interval."""
    error: float | None
    """Standard error of the log ratio; None without an interval."""
    degrees: float | None
    """Its degrees of freedom; None without an interval."""
    p_value: float | None
    """Two-sided, of the ratio being `null_ratio`."""
    p_reason: str | None
    """Why there is no p-value."""
    n_blocks: int
    """Blocks that count."""
    exclusions: Mapping[str, int]
    """Why blocks do not, and how many."""
    confidence: float
    """Level of the interval, 0.95 for 95 %."""
    null_ratio: float
    method: str

    @property
    def n_excluded(self) -> int:
        """Blocks that do not count."""
        return sum(self.exclusions.values())

    def holds(self, ratio: float) -> bool | None:
        """Whether the interval holds `ratio`; None without an interval."""
        if self.low is None or self.high is None:
            return None
        return self.low <= ratio <= self.high


def paired_ratio(
    teacher: Sequence[float | None],
    student: Sequence[float | None],
    *,
    finished: bool = True,
    confidence: float = 0.95,
    null_ratio: float = 1.0,
) -> Estimate:
    """The ratio student/teacher from one value a block of each arm, in the same order of blocks.

    `finished` says whether the study has all its blocks: looking at p-values on the way to a result
    raises the rate of false positives, so an unfinished study has none. Raises ValueError when the
    arms have different numbers of blocks.
    """
    excluded: Counter[str] = Counter()
    logs: list[float] = []
    for reason, log_ratio in _log_ratios(teacher, student):
        if reason is None:
            logs.append(log_ratio)
        else:
            excluded[reason] += 1
    n = len(logs)
    values = np.array(logs)
    mean = float(values.sum()) / n if n else None
    low = high = error = p_value = None
    interval_reason = _no_interval(logs)
    p_reason = interval_reason or _no_test(n, finished=finished)
    if mean is not None and interval_reason is None:
        # A fleet has tens of thousands of lines: np.mean and np.std take three times as long to say the same.
        off = values - mean
        error = math.sqrt(float((off * off).sum()) / (n - 1)) / math.sqrt(n)
        margin = _critical(n - 1, confidence) * error
        low, high = exp_or_inf(mean - margin), exp_or_inf(mean + margin)
        if p_reason is None:
            p_value = float(2 * stdtr(n - 1, -abs(mean - math.log(null_ratio)) / error))
    return Estimate(
        ratio=None if mean is None else exp_or_inf(mean),
        low=low,
        high=high,
        interval_reason=interval_reason,
        error=error,
        degrees=None if error is None else n - 1,
        p_value=p_value,
        p_reason=p_reason,
        n_blocks=n,
        exclusions=dict(sorted(excluded.items())),
        confidence=confidence,
        null_ratio=null_ratio,
        method=METHOD,
    )


def log_ratios(teacher: Sequence[float | None], student: Sequence[float | None]) -> list[float]:
    """The log ratios of the blocks that have one."""
    return [log_ratio for reason, log_ratio in _log_ratios(teacher, student) if reason is None]


def _log_ratios(teacher: Sequence[float | None], student: Sequence[float | None]) -> Iterator[tuple[str | None, float]]:
    """Each block's log ratio, or the reason why it has none."""
    for first, second in zip(teacher, student, strict=True):
        if first is None or second is None:
            yield "no value", 0.0
        elif not (math.isfinite(first) and math.isfinite(second)):
            yield "value not finite", 0.0
        elif first <= 0 or second <= 0:
            yield "value at or below zero: no ratio", 0.0
        else:
            yield None, math.log(second) - math.log(first)


@functools.cache
def _critical(degrees: int, confidence: float) -> float:
    """How many standard errors of so many `degrees` of freedom the interval reaches to either side."""
    return float(stdtrit(degrees, 0.5 + confidence / 2))


def _no_interval(logs: Sequence[float]) -> str | None:
    if len(logs) < BLOCKS_FOR_INTERVAL:
        return f"{_blocks(len(logs))}: an interval needs {BLOCKS_FOR_INTERVAL}"
    if max(logs) - min(logs) <= LOG_RESOLUTION:
        return "zero variance: every block has the same ratio"
    return None


def _no_test(n: int, *, finished: bool) -> str | None:
    if not finished:
        return "the study is unfinished"
    if n < BLOCKS_FOR_TEST:
        return f"{_blocks(n)}: a p-value needs {BLOCKS_FOR_TEST}"
    return None


def _blocks(n: int) -> str:
    return "no block" if n == 0 else "1 block" if n == 1 else f"{n} blocks"


def exp_or_inf(log_ratio: float) -> float:
    """The ratio; infinite where it is beyond a double."""
    # Two wildly different blocks give an upper limit beyond a double: infinite is what it is then.
    try:
        return math.exp(log_ratio)
    except OverflowError:
        return math.inf
