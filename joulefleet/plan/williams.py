"""The order of cells within blocks: random, seeded, and balanced for what stands before what.

Williams' designs (E. J. Williams 1949, "Experimental designs balanced for the estimation of
residual effects of treatments", Australian Journal of Scientific Research A 2:149-168): in a
square of n orders (2n for odd n) every cell follows every other cell equally often. Each square is
relabelled and its orders shuffled by the seed, so a study with fewer blocks than a square has a
random part of one, in which no neighbourhood occurs twice as long as n is even.
"""

from __future__ import annotations

import random
from collections.abc import Iterator


def williams_square(size: int) -> list[list[int]]:
    """Orders of `range(size)` in which each value follows each other equally often.

    `size` orders where `size` is even; twice as many where it is odd.
    """
    first = [0]
    low, high = 1, size - 1
    while len(first) < size:
        first.append(low)
        low += 1
        if len(first) < size:
            first.append(high)
            high -= 1
    square = [[(value + row) % size for value in first] for row in range(size)]
    return square if size % 2 == 0 else square + [order[::-1] for order in square]


def balanced_orders(size: int, *, seed: str) -> Iterator[list[int]]:
    """Endless orders of `range(size)`, one a block; the same `seed` gives the same orders.

    With two or more cells no cell follows itself, not even from one block to the next. With
    exactly two that leaves one order for ever, each cell always after the other.
    """
    # A str seeds Random through SHA-512, which no version of Python changes.
    rng = random.Random(seed)
    last: int | None = None
    while True:
        if size == 2:
            order = rng.sample(range(2), 2) if last is None else [1 - last, last]
            yield order
            last = order[-1]
            continue
        square = _shuffled(size, rng, last)
        yield from square
        last = square[-1][-1]


def _shuffled(size: int, rng: random.Random, last: int | None) -> list[list[int]]:
    """A relabelled, shuffled square whose orders can follow each other and `last`."""
    while True:
        labels = rng.sample(range(size), size)
        square = [[labels[value] for value in order] for order in williams_square(size)]
        rng.shuffle(square)
        edges = zip([last, *(order[-1] for order in square)], square, strict=False)
        if size < 2 or all(before != order[0] for before, order in edges):
            return square
