"""Williams designs: random orders of the cells in which each cell follows every other one equally often.

A Williams design (E. J. Williams 1949, "Experimental designs balanced for the estimation of residual
effects of treatments", Australian Journal of Scientific Research A 2:149-168) is a Latin square of n
orders, or two squares of 2n orders where n is odd, that is balanced for first-order carry-over: what a
trial leaves behind on the machine (heat, caches) affects all cells alike. Here the cells of each square
get random numbers and its orders a random sequence, from a seed. A study with fewer blocks than a square
runs a random part of one, in which no cell follows the same cell twice where n is even.
"""

from __future__ import annotations

import random
from collections.abc import Iterator


def williams_square(size: int) -> list[list[int]]:
    """Return orders of `range(size)` in which each value follows every other one equally often.

    There are `size` orders where `size` is even, and twice as many where it is odd.
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
    """Yield orders of `range(size)` without end, one for each block; the same `seed` gives the same orders.

    With two or more cells no cell follows itself, not even from one block to the next. With exactly two cells
    this leaves one order for all blocks.
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
    """Return a random square whose orders can follow each other and the cell `last`: no cell follows itself."""
    while True:
        labels = rng.sample(range(size), size)
        square = [[labels[value] for value in order] for order in williams_square(size)]
        rng.shuffle(square)
        edges = zip([last, *(order[-1] for order in square)], square, strict=False)
        if size < 2 or all(before != order[0] for before, order in edges):
            return square
