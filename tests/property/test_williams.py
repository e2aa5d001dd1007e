from collections import Counter
from itertools import chain, islice, pairwise

from hypothesis import given
from hypothesis import strategies as st

from joulefleet.plan.williams import balanced_orders

SIZES = st.integers(1, 16)
SEEDS = st.text(max_size=10)


@given(SIZES, SEEDS, st.integers(1, 40))
def test_the_same_seed_gives_the_same_orders(size: int, seed: str, count: int) -> None:
    """An order can be computed again from the seed, on any machine."""
    assert [*islice(balanced_orders(size, seed=seed), count)] == [*islice(balanced_orders(size, seed=seed), count)]


@given(SIZES, SEEDS, st.integers(1, 40))
def test_every_order_holds_every_cell_once(size: int, seed: str, count: int) -> None:
    """A block is one repetition of every cell."""
    for order in islice(balanced_orders(size, seed=seed), count):
        assert sorted(order) == list(range(size))


@given(st.integers(2, 16), SEEDS, st.integers(2, 40))
def test_no_cell_follows_itself(size: int, seed: str, count: int) -> None:
    """This holds within a block, and from the end of one to the start of the next."""
    run = chain.from_iterable(islice(balanced_orders(size, seed=seed), count))
    assert all(before != after for before, after in pairwise(run))


@given(st.integers(3, 12), SEEDS, st.integers(0, 2))
def test_in_a_full_square_every_neighbourhood_occurs_equally_often(size: int, seed: str, squares_before: int) -> None:
    """In all orders of a square, every cell comes directly before every other one the same number of times."""
    length = size if size % 2 == 0 else 2 * size
    square = islice(balanced_orders(size, seed=seed), squares_before * length, (squares_before + 1) * length)
    seen = Counter(neighbours for order in square for neighbours in pairwise(order))
    assert len(seen) == size * (size - 1)
    assert set(seen.values()) == {length // size}
