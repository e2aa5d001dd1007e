from collections import Counter
from itertools import islice, pairwise

import pytest

from joulefleet.plan.williams import balanced_orders, williams_square


@pytest.mark.parametrize("size", [2, 4, 6, 12])
def test_an_even_square_has_every_neighbourhood_once(size: int) -> None:
    """As many orders as cells suffice where their number is even (Williams 1949)."""
    square = williams_square(size)
    assert len(square) == size
    assert Counter(pair for order in square for pair in pairwise(order)) == {
        (before, after): 1 for before in range(size) for after in range(size) if before != after
    }


@pytest.mark.parametrize("size", [3, 5, 7, 13])
def test_an_odd_square_has_every_neighbourhood_twice(size: int) -> None:
    """Where the number of cells is odd, the square and its mirror image are needed."""
    square = williams_square(size)
    assert len(square) == 2 * size
    assert Counter(pair for order in square for pair in pairwise(order)) == {
        (before, after): 2 for before in range(size) for after in range(size) if before != after
    }


@pytest.mark.parametrize("size", [4, 5])
def test_in_a_square_every_cell_has_every_position_equally_often(size: int) -> None:
    """A square is balanced for the position in the block too."""
    square = williams_square(size)
    for position in range(size):
        assert set(Counter(order[position] for order in square).values()) == {len(square) // size}


def test_one_cell_is_its_own_order() -> None:
    """A study of one cell runs it in every block."""
    assert [*islice(balanced_orders(1, seed="any"), 3)] == [[0], [0], [0]]


def test_two_cells_always_alternate() -> None:
    """With two cells only one order lets neither follow itself, so the seed decides only which comes first."""
    seen = {tuple(map(tuple, islice(balanced_orders(2, seed=str(seed)), 3))) for seed in range(20)}
    assert seen == {((0, 1),) * 3, ((1, 0),) * 3}


def test_orders_are_the_same_in_every_release() -> None:
    """An order of years ago can be computed again, so this one must never change."""
    expected = [[2, 1, 0, 3], [0, 2, 3, 1], [3, 0, 1, 2], [1, 3, 2, 0]]
    assert [*islice(balanced_orders(4, seed="7/study/machine"), 4)] == expected


def test_another_seed_gives_another_order() -> None:
    """The order is random: forty seeds give forty orders."""
    assert len({tuple(next(balanced_orders(8, seed=str(seed)))) for seed in range(40)}) == 40
