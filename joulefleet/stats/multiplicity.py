"""Several tests at once: the correction of p-values within a family of tests.

Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6:65 (1979).
"""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the adjusted p-values of one family, in the order given; empty for an empty family.

    To reject where an adjusted p-value is at most alpha keeps the probability of any false positive in the
    family at alpha or below, however the tests depend on each other. The k-th smallest of n p-values is
    multiplied by n - k + 1, at least to the adjusted one before it and at most to 1.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = largest
    return adjusted
