"""Long series made shorter."""

from __future__ import annotations

from agent.results.thinning import MOST_VALUES, thinned


def test_a_short_series_stays_as_it_is() -> None:
    """Nothing is lost below the limit."""
    assert list(thinned(range(MOST_VALUES))) == list(range(MOST_VALUES))


def test_a_long_series_keeps_its_ends_and_its_order() -> None:
    """First and last stay, and no value comes twice."""
    series = list(thinned(range(1_000_001)))
    assert len(series) == MOST_VALUES
    assert (series[0], series[-1]) == (0, 1_000_000)
    assert series == sorted(set(series))
