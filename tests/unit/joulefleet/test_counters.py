from math import nan

import pytest

from joulefleet.counters import (
    ASSUMED_RANGE_UJ,
    PLAUSIBLE_PEAK_W,
    Known,
    Unknown,
    counter_total,
    observed_peak_w,
    resets,
    slept,
    steps_back,
    unwrapped_power_w,
)

RANGE_UJ = 262_143_328_850


Reading = tuple[int, float]


def reading(seconds: float, value_uj: int | None) -> Reading:
    """Return a reading at a time in seconds; None where it failed."""
    return round(seconds * 1e9), nan if value_uj is None else value_uj


def total(readings: list[Reading], *, range_uj: int | None, peak_w: float = PLAUSIBLE_PEAK_W) -> Known | Unknown:
    """Return the total of the readings, which must be known."""
    return counter_total([t for t, _ in readings], [v for _, v in readings], range_uj=range_uj, peak_w=peak_w)


def reason(result: Known | Unknown) -> str:
    """Return why the total is unknown."""
    assert isinstance(result, Unknown)
    return result.reason


def test_published_negative_powers_are_repaired() -> None:
    """-262,099.3125 W over a second was 44.02 W in truth, and -262,096.20313 W was 47.13 W."""
    for published_w, true_w in [(-262_099.3125, 44.02), (-262_096.20313, 47.13)]:
        before = 262_120_000_000
        after = before + round(published_w * 1e6)
        counted = total([reading(0, before), reading(1, after)], range_uj=RANGE_UJ)
        assert isinstance(counted, Known)
        assert round(counted.total / 1e6, 2) == true_w
        assert round(unwrapped_power_w(published_w) or 0.0, 2) == true_w


def test_a_counter_that_does_not_wrap_gives_its_difference() -> None:
    """Without a wrap the total is last minus first."""
    assert total([reading(0, 100), reading(1, 5_000_100)], range_uj=RANGE_UJ) == Known(5_000_000)


def test_each_wrap_of_a_long_window_is_counted() -> None:
    """With reads often enough, every wrap is seen and added."""
    readings = [reading(60 * i, (i * 6_000_000_000) % RANGE_UJ) for i in range(101)]
    assert total(readings, range_uj=RANGE_UJ) == Known(600_000_000_000)


def test_a_gap_in_which_the_counter_could_wrap_is_unknown() -> None:
    """The real length of the gap decides, at the peak power of the domain."""
    readings = [reading(0, 0), reading(600, 10)]
    assert "may have wrapped unseen" in reason(total(readings, range_uj=RANGE_UJ, peak_w=500))
    assert total(readings, range_uj=RANGE_UJ, peak_w=400) == Known(10)


def test_without_a_range_the_smallest_one_limits_the_gaps() -> None:
    """An unreadable range counts as 65,532 J."""
    seconds = ASSUMED_RANGE_UJ / 500e6
    assert isinstance(total([reading(0, 0), reading(seconds - 1, 10)], range_uj=None), Known)
    assert isinstance(total([reading(0, 0), reading(seconds, 10)], range_uj=None), Unknown)


def test_a_step_back_without_a_range_is_unknown() -> None:
    """With no range (or 0) a step back may be a wrap or a reset."""
    for range_uj in (None, 0):
        assert "stepped back" in reason(total([reading(0, 9), reading(1, 8)], range_uj=range_uj))


def test_a_failed_read_in_the_middle_is_skipped() -> None:
    """A transient read error is not a wrap."""
    readings = [reading(0, 1_000), reading(1, None), reading(2, 3_000)]
    assert total(readings, range_uj=RANGE_UJ) == Known(2_000)


def test_a_gap_with_failed_reads_counts_in_full_length() -> None:
    """A failed read cannot show a wrap."""
    readings = [reading(0, 0), *(reading(i, None) for i in range(1, 600)), reading(600, 10)]
    assert isinstance(total(readings, range_uj=RANGE_UJ), Unknown)


def test_a_failed_read_at_the_edge_makes_the_total_unknown() -> None:
    """The energy is the difference of the readings at the edges."""
    for readings in ([reading(0, None), reading(1, 5)], [reading(0, 5), reading(1, None)]):
        assert "edge" in reason(total(readings, range_uj=RANGE_UJ))


def test_a_reset_is_unknown_and_not_a_wrap() -> None:
    """A counter that starts again in mid-range implies an impossible power."""
    assert "reset" in reason(total([reading(0, 100_000_000_000), reading(1, 0)], range_uj=RANGE_UJ))


def test_a_leap_forward_beyond_the_peak_power_is_unknown() -> None:
    """600 J in a second is more than 500 W."""
    assert "500 W" in reason(total([reading(0, 0), reading(1, 600_000_000)], range_uj=RANGE_UJ))


def test_a_short_gap_may_hold_the_refresh_before_it() -> None:
    """Between two reads 1 ms apart the counter may add what was used in a longer time."""
    assert total([reading(0, 0), reading(0.001, 2_000_000)], range_uj=RANGE_UJ) == Known(2_000_000)


def test_values_that_no_counter_holds_are_unknown() -> None:
    """Values below zero, beyond the range or out of order make the total unknown."""
    assert "below zero" in reason(total([reading(0, -5), reading(1, 5)], range_uj=RANGE_UJ))
    assert "beyond" in reason(total([reading(0, 5), reading(1, RANGE_UJ + 1)], range_uj=RANGE_UJ))
    assert "order" in reason(total([reading(1, 5), reading(0, 6)], range_uj=RANGE_UJ))


def test_one_reading_is_no_difference() -> None:
    """A total needs two readings."""
    assert "fewer than two" in reason(total([reading(0, 5)], range_uj=RANGE_UJ))
    assert "fewer than two" in reason(total([], range_uj=RANGE_UJ))


def test_a_suspend_is_a_jump_between_the_clocks() -> None:
    """CLOCK_BOOTTIME goes on while the machine sleeps, CLOCK_MONOTONIC does not."""
    second = 1_000_000_000
    assert slept([5 * second, 8 * second])
    assert not slept([5 * second, 5 * second + 100_000])
    assert not slept([])


def test_a_power_that_no_single_wrap_explains_is_unknown() -> None:
    """A repaired power is one that a CPU can draw; otherwise there is none."""
    assert unwrapped_power_w(43.77) == 43.77
    assert unwrapped_power_w(-1000.0) is None
    assert unwrapped_power_w(-300_000.0) is None
    assert unwrapped_power_w(nan) is None
    assert unwrapped_power_w(-131_000.0, seconds=2) == pytest.approx(71.664425)


def test_resets_and_steps_back_are_found_by_their_gaps() -> None:
    """The peak power explains the step of a wrap, but not that of a reset."""
    times = [0, 10**9, 2 * 10**9, 3 * 10**9]
    values = [RANGE_UJ - 5.0, 10e6, 90e9, 0.0]
    assert steps_back(times, values) == [(0, 10**9), (2 * 10**9, 3 * 10**9)]
    assert resets(times, values, range_uj=RANGE_UJ, peak_w=500) == [(10**9, 2 * 10**9), (2 * 10**9, 3 * 10**9)]


def test_the_observed_power_is_not_moved_by_a_reset() -> None:
    """A single enormous step must not raise the limit that it is checked against; few steps give no power."""
    times = [i * 100_000_000 for i in range(60)]
    values = [600e6 * i * 0.1 for i in range(60)]
    assert observed_peak_w(times, values, range_uj=RANGE_UJ) == pytest.approx(600, rel=1e-6)
    values[30:] = [value - values[30] for value in values[30:]]
    assert observed_peak_w(times, values, range_uj=RANGE_UJ) == pytest.approx(600, rel=1e-6)
    assert observed_peak_w(times[:20], values[:20], range_uj=RANGE_UJ) is None
