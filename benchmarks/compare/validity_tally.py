"""Counts over simulated studies, their bounds, and the type of a scenario of validity.py."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from scipy.special import stdtrit

ALPHA = 0.05
WIDEST = 1.15
"""Largest mean width, in multiples of the oracle's."""

STANDARD_ERRORS = 3
"""Allowance for chance. Of 700 rates of exactly 5 %, one is seen beyond it."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts over studies. A count that a scenario does not use stays at 0 of 0."""

    tests: int = 0
    false_positives: int = 0
    intervals: int = 0
    covered: int = 0
    width: float = 0.0
    """Sum over all intervals, on the scale of logarithms."""
    oracle: float = 0.0
    """The same sum for the oracle's intervals."""

    def test(self, *, positive: bool) -> None:
        """Count a test whose null hypothesis is true."""
        self.tests += 1
        self.false_positives += positive

    def interval(self, low: float, high: float, *, truth: float = 1.0, oracle: float = 0.0) -> None:
        """Count an interval. oracle: width of the oracle's on the scale of logarithms, 0 where there is none."""
        self.intervals += 1
        self.covered += low <= truth <= high
        self.width += math.log(high / low) if oracle else 0.0
        self.oracle += oracle

    def __add__(self, other: Tally) -> Tally:
        return Tally(**{field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(Tally)})

    @property
    def error_rate(self) -> float | None:
        """Rate of false positives, None without tests."""
        return self.false_positives / self.tests if self.tests else None

    @property
    def coverage(self) -> float | None:
        """Share of the intervals that contain the truth, None without intervals."""
        return self.covered / self.intervals if self.intervals else None

    @property
    def positives_beyond(self) -> float:
        """Standard errors by which the rate of false positives exceeds 5 %; negative where it is lower."""
        return _beyond(self.error_rate, self.tests)

    @property
    def misses_beyond(self) -> float:
        """Standard errors by which the coverage falls short of 95 %; negative where it is higher."""
        return _beyond(None if self.coverage is None else 1 - self.coverage, self.intervals)

    @property
    def relative_width(self) -> float | None:
        """Mean width in multiples of the oracle's, None without one."""
        return self.width / self.oracle if self.oracle else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table."""

    name: str
    size: str
    limit: str | None = None
    """Reason why the method's assumptions do not hold here; it is printed, and no bound applies."""
    wide: str | None = None
    """Reason why the width alone has no bound."""

    def verdict(self, tally: Tally) -> str:
        """Return ok, limit or MISSED."""
        if self.limit:
            return "limit"
        over = max(tally.positives_beyond, tally.misses_beyond) > STANDARD_ERRORS
        wide = not self.wide and (tally.relative_width or 0.0) > WIDEST
        return "MISSED" if over or wide else "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A kind of simulated studies, which fills one row of the table or several."""

    rows: tuple[Row, ...]
    run: Callable[[np.random.Generator, int], tuple[Tally, ...]]
    """Takes a generator and a number of studies; returns a tally for each row."""


def most_positives(tests: int) -> float:
    """Return the bound of the rate of false positives."""
    return ALPHA + STANDARD_ERRORS * _standard_error(tests)


def least_coverage(intervals: int) -> float:
    """Return the bound of the coverage."""
    return 1 - most_positives(intervals)


def _standard_error(studies: int) -> float:
    return math.sqrt(ALPHA * (1 - ALPHA) / studies) if studies else math.inf


def _beyond(rate: float | None, studies: int) -> float:
    return -math.inf if rate is None else (rate - ALPHA) / _standard_error(studies)


def oracle_width(error: float, degrees: float) -> float:
    """Return the width of Student's t interval with the true standard error, on the scale of logarithms."""
    return 2 * float(stdtrit(degrees, 1 - ALPHA / 2)) * error
