from math import nan

from agent.results.conditions import conditions_of
from joulefleet.measurement import Channel, Phase, Readings

BASELINE = Phase(name="baseline", start_ns=0, end_ns=10)
WINDOW = Phase(name="window", start_ns=10, end_ns=30)
TIMES = [0, 10, 20, 30]


def series(name: str, *values: float) -> Readings:
    """Return a channel that was read at 0, 10, 20 and 30 ns."""
    return Readings(channel=Channel(name=name, unit="1", kind="gauge", source="test"), t_ns=TIMES, value=values)


def test_nothing_readable_is_none_throughout() -> None:
    """A value that cannot be read is null, never 0."""
    conditions = conditions_of([], baseline=BASELINE, window=WINDOW, package_temperatures=())
    assert {getattr(conditions, name) for name in conditions.__slots__} == {None}


def test_the_hottest_package_counts() -> None:
    """Only packages count, at the end of the baseline and over the window."""
    readings = [
        series("temperature/coretemp/Package id 0", 30, 40, 60, nan),
        series("temperature/coretemp/Package id 1", 30, 41, 55, 58),
        series("temperature/nvme/Composite", 90, 90, 90, 90),
    ]
    packages = [reading.channel.name for reading in readings[:2]]
    conditions = conditions_of(readings, baseline=BASELINE, window=WINDOW, package_temperatures=packages)
    assert (conditions.temperature_baseline_c, conditions.temperature_max_c) == (41, 60)


def test_counters_grow_over_the_window_and_gauges_have_their_mean_and_peak() -> None:
    """Throttle events of cores and packages are added up; those before the window do not count."""
    readings = [
        series("cpu_frequency_mean_mhz", 800, 2000, 3000, 2500),
        series("cpu_frequency_min_mhz", 400, 1500, 1200, 1800),
        series("core_throttle_count", 0, 2, 3, 5),
        series("package_throttle_count", 7, 7, 7, 8),
        series("pressure_cpu_s", 0.0, 1.0, 1.25, 1.5),
        series("cgroup_throttled_s", 0.0, 0.0, 0.0, 0.0),
        series("cgroup_memory_bytes", 9e9, 1e6, 3e6, 2e6),
    ]
    conditions = conditions_of(readings, baseline=BASELINE, window=WINDOW, package_temperatures=())
    assert (conditions.frequency_mean_mhz, conditions.frequency_min_mhz_seen) == (2500, 1200)
    assert conditions.throttle_events == 4
    assert (conditions.pressure_cpu_s, conditions.pressure_memory_s) == (0.5, None)
    assert (conditions.cgroup_throttled_s, conditions.cgroup_peak_bytes) == (0.0, 3_000_000)


def test_throttle_events_are_unknown_where_a_part_of_them_is() -> None:
    """0 of the packages and an unknown number of the cores are not 0."""
    readings = [series("core_throttle_count", 0, 2, 3, nan), series("package_throttle_count", 7, 7, 7, 7)]
    assert conditions_of(readings, baseline=BASELINE, window=WINDOW, package_temperatures=()).throttle_events is None
