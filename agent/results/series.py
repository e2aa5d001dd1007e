"""What one channel did in one phase. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from math import isnan
from typing import TypeVar

from joulefleet.measurement import Phase, Readings

Number = TypeVar("Number", int, float)


def channel(readings: Iterable[Readings], name: str) -> Readings | None:
    """The series of the channel called `name`."""
    return next((series for series in readings if series.channel.name == name), None)


def part(values: Sequence[Number], span: slice) -> Sequence[Number]:
    """The values in `span`; of an array without copying it, as a long window has megabytes of them."""
    return memoryview(values)[span] if isinstance(values, array) else values[span]


def values_in(series: Readings | None, phase: Phase) -> Iterator[float]:
    """The values read in `phase`, its marks included; without those that could not be read."""
    if series is None:
        return iter(())
    span = slice(bisect_left(series.t_ns, phase.start_ns), bisect_right(series.t_ns, phase.end_ns))
    return (value for value in part(series.value, span) if not isnan(value))


def growth(series: Readings | None, phase: Phase) -> float | None:
    """What a counter grew by from the phase's first mark to its last; None where either was not read.

    None as well where it is less than before: then the counter began anew.
    """
    if series is None:
        return None
    first, last = bisect_left(series.t_ns, phase.start_ns), bisect_right(series.t_ns, phase.end_ns) - 1
    if last <= first or series.t_ns[first] != phase.start_ns or series.t_ns[last] != phase.end_ns:
        return None
    grown = series.value[last] - series.value[first]
    return None if isnan(grown) or grown < 0 else grown


def at_end(series: Readings | None, phase: Phase) -> float | None:
    """The value read at the phase's last mark."""
    if series is None:
        return None
    last = bisect_right(series.t_ns, phase.end_ns) - 1
    if last < 0 or series.t_ns[last] != phase.end_ns or isnan(series.value[last]):
        return None
    return series.value[last]


def mean(values: Iterable[float]) -> float | None:
    """Their arithmetic mean; None of nothing."""
    count, total = 0, 0.0
    for value in values:
        count, total = count + 1, total + value
    return total / count if count else None
