from math import nan

from agent.results.series import at_end, channel, growth, mean, values_in
from joulefleet.measurement import Channel, Phase, Readings

PHASE = Phase(name="window", start_ns=10, end_ns=30)


def series(*readings: tuple[int, float]) -> Readings:
    """A channel's readings of time and value."""
    return Readings(
        channel=Channel(name="a", unit="s", kind="counter", source="test"),
        t_ns=[t for t, _ in readings],
        value=[value for _, value in readings],
    )


def test_a_counter_grows_from_mark_to_mark() -> None:
    """Readings outside the phase do not count."""
    assert growth(series((0, 1), (10, 2), (20, 3), (30, 7), (40, 9)), PHASE) == 5


def test_growth_needs_a_reading_at_both_marks() -> None:
    """Never from a neighbour, and never from a failed read."""
    assert growth(series((11, 2), (30, 7)), PHASE) is None
    assert growth(series((10, nan), (30, 7)), PHASE) is None
    assert growth(series((10, 1)), PHASE) is None
    assert growth(None, PHASE) is None


def test_a_counter_that_began_anew_has_no_growth() -> None:
    """Less than before is no negative growth."""
    assert growth(series((10, 5), (30, 1)), PHASE) is None


def test_values_that_could_not_be_read_are_left_out() -> None:
    """The marks' own readings belong to the phase."""
    assert list(values_in(series((0, 1), (10, 2), (20, nan), (30, 4), (31, 5)), PHASE)) == [2, 4]
    assert list(values_in(None, PHASE)) == []


def test_the_value_at_the_end_is_that_of_the_mark() -> None:
    """Or none."""
    assert at_end(series((10, 1), (30, 4)), PHASE) == 4
    assert at_end(series((10, 1), (29, 4)), PHASE) is None
    assert at_end(series((30, nan)), PHASE) is None
    assert at_end(series((40, 1)), PHASE) is None
    assert at_end(None, PHASE) is None


def test_a_mean_of_nothing_is_none() -> None:
    """Never 0."""
    assert mean([1, 3]) == 2
    assert mean([]) is None


def test_a_channel_is_found_by_its_name() -> None:
    """Or it is not there."""
    one = series((0, 1))
    assert channel([one], "a") is one
    assert channel([one], "b") is None
