"""Sample sizes: the blocks and machines that give a ratio of the precision that is wanted.

The precision is a factor: 1.05 stands for an interval whose ends are at most 5 % from the ratio.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import stdtrit

PILOT_BLOCKS = 10
"""Least number of pilot blocks: with fewer the variance is hardly known, and chance would size the second stage."""

MOST_BLOCKS = 100_000
"""Largest number of blocks that is tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A number of machines and blocks, and the precision that is expected of it."""

    machines: int
    blocks: int | None
    """Blocks of each machine; None where no number of them is enough, and machines have to be added."""
    factor: float | None
    """Expected half-width of the interval, as a factor; None without blocks."""


def stein_blocks(variance: float, pilot_blocks: int, *, factor: float, confidence: float = 0.95) -> int:
    """Return the number of all blocks after a first stage of `pilot_blocks`, whose log ratios have `variance`.

    Stein, Annals of Mathematical Statistics 16:243 (1945): the interval of `stein_interval` has the stated
    coverage and is never wider than `factor`, whatever the true variance is. Raises ValueError for fewer
    than PILOT_BLOCKS and for a factor that is not above 1.
    """
    if pilot_blocks < PILOT_BLOCKS:
        raise ValueError(f"the first stage has {PILOT_BLOCKS} blocks or more, not {pilot_blocks}")
    half = _half_width(factor)
    score = float(stdtrit(pilot_blocks - 1, 0.5 + confidence / 2))
    return max(pilot_blocks, math.ceil(score**2 * variance / half**2))


def stein_interval(
    mean: float, variance: float, pilot_blocks: int, blocks: int, *, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the interval of the ratio after both stages, low and high.

    mean: of all log ratios; variance: of those of the first stage alone. For the source see `stein_blocks`.
    """
    margin = float(stdtrit(pilot_blocks - 1, 0.5 + confidence / 2)) * math.sqrt(variance / blocks)
    return math.exp(mean - margin), math.exp(mean + margin)


def size(between: float, within: float, machines: int, *, factor: float, confidence: float = 0.95) -> Size:
    """Return how many blocks each of `machines` needs for an interval of `factor` or narrower.

    between, within: variances of the log ratio between machines, and between the blocks of one. The interval is
    that of Student's t over machines, whose mean log ratio has the variance (between + within / blocks) /
    machines; for one machine it is over its blocks. Raises ValueError for less than one machine, for two, and
    for a factor that is not above 1.
    """
    if machines < 1 or machines == 2:
        raise ValueError("one machine, or three or more: a mean over two has no useful interval")
    half = _half_width(factor)

    def expected(blocks: int) -> float:
        if machines == 1:
            return float(stdtrit(blocks - 1, 0.5 + confidence / 2)) * math.sqrt(within / blocks)
        score = float(stdtrit(machines - 1, 0.5 + confidence / 2))
        return score * math.sqrt((between + within / blocks) / machines)

    low, high = 1, 2
    while high < MOST_BLOCKS and expected(high) > half:
        low, high = high, high * 2
    if expected(high) > half:
        return Size(machines=machines, blocks=None, factor=None)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if expected(middle) <= half else (middle, high)
    return Size(machines=machines, blocks=high, factor=math.exp(expected(high)))


def _half_width(factor: float) -> float:
    if factor <= 1:
        raise ValueError(f"precision is a factor above 1, not {factor}")
    return math.log(factor)
