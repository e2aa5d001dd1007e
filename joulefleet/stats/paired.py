"""The ratio of two arms within blocks: a paired t procedure on the blocks' log ratios.

Pairing removes what the two trials of a block have in common (day, temperature, boot). Logarithms make the
ratio symmetric in its arms and a mean of ratios meaningful. Interval and p-value come from the same
procedure, so they never contradict each other. Student, Biometrika 6:1 (1908).
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

METHOD = "paired t on the blocks' log ratios"

BLOCKS_FOR_INTERVAL = 2
"""Least number of blocks with an interval: one block does not show how blocks differ."""

BLOCKS_FOR_TEST = 5
"""Least number of blocks with a p-value: with fewer it would rest on normality alone, as the exact sign-flip test
of 4 blocks is never below 2 / 2^4 = 0.125."""

LOG_RESOLUTION = 1e-12
"""Log ratios closer than this are equal: doubles of equal ratios differ by some 1e-15 in their logarithms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A ratio other/reference with its interval and p-value; each that is None has a reason.

    `paired_ratio`, `unpaired_ratio` and `two_stage_ratio` make it, by the method that `method` names.
    """

    ratio: float | None
    """Geometric mean of the blocks' ratios; None where no block has one."""
    low: float | None
    high: float | None
    interval_reason: str | None
    """Reason why there is no interval."""
    error: float | None
    """Standard error of the log ratio; None without an interval."""
    degrees: float | None
    """Degrees of freedom of the error; None without an interval."""
    p_value: float | None
    """Two-sided p-value of the ratio being `null_ratio`."""
    p_reason: str | None
    """Reason why there is no p-value."""
    n_blocks: int
    """Number of blocks that count; without blocks, of trials in the smaller arm."""
    exclusions: Mapping[str, int]
    """Reasons why blocks (or trials) do not count, each with its number."""
    confidence: float
    """Level of the interval, 0.95 for 95 %."""
    null_ratio: float
    method: str

    def holds(self, ratio: float) -> bool | None:
        """Return whether the interval holds `ratio`; None without an interval."""
        if self.low is None or self.high is None:
            return None
        return self.low <= ratio <= self.high


def paired_ratio(
    reference: Sequence[float | None],
    other: Sequence[float | None],
    *,
    finished: bool = True,
    confidence: float = 0.95,
    null_ratio: float = 1.0,
) -> Estimate:
    """Return the ratio other/reference from one value a block of each arm, in the same order of blocks.

    finished: whether the study has all its blocks; looking at p-values on the way to a result raises the rate
    of false positives, so an unfinished study has none. null_ratio: the ratio that the p-value is about.
    Blocks without two positive finite values are left out and counted. Raises ValueError where the arms have
    different numbers of values.
    """
    reasons = map(why_no_ratio, reference, other)
    excluded = Counter(reason for reason in reasons if reason is not None)
    logs = log_ratios(reference, other)
    n = len(logs)
    values = np.array(logs)
    mean = float(values.sum()) / n if n else None
    low = high = error = p_value = None
    interval_reason = _no_interval(logs)
    p_reason = interval_reason or _no_test(n, finished=finished)
    if mean is not None and interval_reason is None:
        # A fleet has tens of thousands of estimates: np.mean and np.std take three times as long.
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


def log_ratios(reference: Sequence[float | None], other: Sequence[float | None]) -> list[float]:
    """Return ln(other / reference) of each block that has it, in order.

    Raises ValueError where the arms have different numbers of values.
    """
    return [
        math.log(second) - math.log(first)
        for first, second in zip(reference, other, strict=True)
        if first is not None and second is not None and why_no_ratio(first, second) is None
    ]


def why_no_ratio(reference: float | None, other: float | None) -> str | None:
    """Return why two values have no log ratio; None where they have one."""
    if reference is None or other is None:
        return "no value"
    if not (math.isfinite(reference) and math.isfinite(other)):
        return "value not finite"
    return None if reference > 0 and other > 0 else "value at or below zero: no ratio"


@functools.cache
def _critical(degrees: int, confidence: float) -> float:
    """Return the half-width of the interval in standard errors of `degrees` of freedom."""
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
    """Return the ratio; infinite where it is beyond a double, as the limit of two very different blocks may be."""
    try:
        return math.exp(log_ratio)
    except OverflowError:
        return math.inf
