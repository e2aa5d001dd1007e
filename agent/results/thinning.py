"""Long series made shorter for the row."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TypeVar

MOST_VALUES = 20_000

Number = TypeVar("Number", int, float)


def thinned(values: Sequence[Number]) -> Sequence[Number]:
    """At most MOST_VALUES of `values`, evenly spread, the first and the last among them.

    Series of equal length are thinned at equal places, so times and values stay together. An array
    stays one.
    """
    count = len(values)
    if count <= MOST_VALUES:
        return values
    places = (index * (count - 1) // (MOST_VALUES - 1) for index in range(MOST_VALUES))
    if isinstance(values, array):
        return array(values.typecode, (values[place] for place in places))
    return [values[place] for place in places]
