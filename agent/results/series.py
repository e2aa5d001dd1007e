"""Values of one channel in one phase, percentiles, and the thinning of long series for a row. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from math import isnan
from statistics import quantiles
from typing import TypeVar

from joulefleet.measurement import Phase, Readings

LONGEST_SERIES = 20_000
"""Number of values of a channel, or of latencies, that a row holds at most."""

Number = TypeVar("Number", int, float)


def channel(readings: Iterable[Readings], name: str) -> Readings | None:
    """Return the series of the channel called `name`."""
    return next((series for series in readings if series.channel.name == name), None)


def part(values: Sequence[Number], span: slice) -> Sequence[Number]:
    """Return the values in `span`; of an array without a copy, because a long window has megabytes of them."""
    return memoryview(values)[span] if isinstance(values, array) else values[span]


def values_in(series: Readings | None, phase: Phase) -> Iterator[float]:
    """Return the values read in `phase`, its two marks included, without failed reads."""
    if series is None:
        return iter(())
    span = slice(bisect_left(series.t_ns, phase.start_ns), bisect_right(series.t_ns, phase.end_ns))
    return (value for value in part(series.value, span) if not isnan(value))


def growth(series: Readings | None, phase: Phase) -> float | None:
    """Return the increase of a counter from the phase's first mark to its last; None where either was not read.

    None as well where the counter is lower than before: it was reset.
    """
    if series is None:
        return None
    first, last = bisect_left(series.t_ns, phase.start_ns), bisect_right(series.t_ns, phase.end_ns) - 1
    if last <= first or series.t_ns[first] != phase.start_ns or series.t_ns[last] != phase.end_ns:
        return None
    increase = series.value[last] - series.value[first]
    return None if isnan(increase) or increase < 0 else increase


def at_end(series: Readings | None, phase: Phase) -> float | None:
    """Return the value read at the phase's last mark."""
    if series is None:
        return None
    last = bisect_right(series.t_ns, phase.end_ns) - 1
    if last < 0 or series.t_ns[last] != phase.end_ns or isnan(series.value[last]):
        return None
    return series.value[last]


def mean(values: Iterable[float]) -> float | None:
    """Return the arithmetic mean; None where there are no values."""
    count, total = 0, 0.0
    for value in values:
        count, total = count + 1, total + value
    return total / count if count else None


def percentiles_s(durations_ns: Sequence[int]) -> tuple[float | None, float | None, float | None]:
    """Return the median, 90th and 99th percentile in seconds, linear between neighbours; None of no durations."""
    if not durations_ns:
        return None, None, None
    if len(durations_ns) == 1:
        only = durations_ns[0] / 1e9
        return only, only, only
    cuts = quantiles(durations_ns, n=100, method="inclusive")
    return cuts[49] / 1e9, cuts[89] / 1e9, cuts[98] / 1e9


def thinned(values: Sequence[Number]) -> Sequence[Number]:
    """Return at most LONGEST_SERIES of `values`, evenly spread, with the first and the last.

    Series of equal length keep the same positions, so that times and values still belong together. An array
    gives an array.
    """
    count = len(values)
    if count <= LONGEST_SERIES:
        return values
    positions = (index * (count - 1) // (LONGEST_SERIES - 1) for index in range(LONGEST_SERIES))
    if isinstance(values, array):
        return array(values.typecode, (values[position] for position in positions))
    return [values[position] for position in positions]
