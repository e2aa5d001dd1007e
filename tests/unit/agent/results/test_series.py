from array import array
from math import nan

from agent.results.series import (
    LONGEST_SERIES,
    at_end,
    channel,
    growth,
    mean,
    percentiles_s,
    thinned,
    values_in,
)
from joulefleet.measurement import Channel, Phase, Readings

PHASE = Phase(name="window", start_ns=10, end_ns=30)


def series(*readings: tuple[int, float]) -> Readings:
    """Return a channel of these readings: time and value."""
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


def test_a_counter_that_was_reset_has_no_growth() -> None:
    """The growth is unknown, not negative."""
    assert growth(series((10, 5), (30, 1)), PHASE) is None


def test_values_that_could_not_be_read_are_left_out() -> None:
    """The readings at the two marks belong to the phase."""
    assert list(values_in(series((0, 1), (10, 2), (20, nan), (30, 4), (31, 5)), PHASE)) == [2, 4]
    assert list(values_in(None, PHASE)) == []


def test_the_value_at_the_end_is_that_of_the_last_mark() -> None:
    """A reading before or after it is not used instead."""
    assert at_end(series((10, 1), (30, 4)), PHASE) == 4
    assert at_end(series((10, 1), (29, 4)), PHASE) is None
    assert at_end(series((30, nan)), PHASE) is None
    assert at_end(series((40, 1)), PHASE) is None
    assert at_end(None, PHASE) is None


def test_a_mean_of_no_values_is_none_and_not_0() -> None:
    """No number is invented."""
    assert mean([1, 3]) == 2
    assert mean([]) is None


def test_a_channel_is_found_by_its_name() -> None:
    """Another name finds none."""
    one = series((0, 1))
    assert channel([one], "a") is one
    assert channel([one], "b") is None


def test_percentiles_are_seconds_and_linear_between_values() -> None:
    """As numpy's default method."""
    assert percentiles_s([10**9 * n for n in range(1, 102)]) == (51.0, 91.0, 100.0)
    assert percentiles_s(array("q", [4_000_000_000, 2_000_000_000]))[0] == 3.0


def test_percentiles_of_one_duration_are_that_one_and_of_none_unknown() -> None:
    """Both ends of the arithmetic."""
    assert percentiles_s([1_500_000_000]) == (1.5, 1.5, 1.5)
    assert percentiles_s([]) == (None, None, None)


def test_a_short_series_stays_as_it_is() -> None:
    """Up to the limit no value is lost."""
    assert list(thinned(range(LONGEST_SERIES))) == list(range(LONGEST_SERIES))


def test_a_long_series_keeps_its_ends_and_its_order() -> None:
    """The first and the last value stay, and no value comes twice."""
    series = list(thinned(range(1_000_001)))
    assert len(series) == LONGEST_SERIES
    assert (series[0], series[-1]) == (0, 1_000_000)
    assert series == sorted(set(series))


def test_a_thinned_array_is_an_array() -> None:
    """A list would need four times its memory."""
    assert isinstance(thinned(array("d", range(LONGEST_SERIES + 1))), array)
