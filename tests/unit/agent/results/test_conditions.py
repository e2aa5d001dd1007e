from math import nan

from agent.results.conditions import surroundings
from joulefleet.measurement import Channel, Phase, Readings

BASELINE = Phase(name="baseline", start_ns=0, end_ns=10)
WINDOW = Phase(name="window", start_ns=10, end_ns=30)
TIMES = [0, 10, 20, 30]


def series(name: str, *values: float) -> Readings:
    """A channel read at 0, 10, 20 and 30 ns."""
    return Readings(channel=Channel(name=name, unit="1", kind="gauge", source="test"), t_ns=TIMES, value=values)


def test_nothing_readable_is_none_throughout() -> None:
    """What a machine cannot tell is null, never 0."""
    found = surroundings([], baseline=BASELINE, window=WINDOW, package_temperatures=())
    assert {getattr(found, name) for name in found.__slots__} == {None}


def test_the_hottest_package_counts() -> None:
    """At the end of the baseline, and over the window; other temperatures are readings only."""
    readings = [
        series("temperature/coretemp/Package id 0", 30, 40, 60, nan),
        series("temperature/coretemp/Package id 1", 30, 41, 55, 58),
        series("temperature/nvme/Composite", 90, 90, 90, 90),
    ]
    packages = [reading.channel.name for reading in readings[:2]]
    found = surroundings(readings, baseline=BASELINE, window=WINDOW, package_temperatures=packages)
    assert (found.temperature_baseline_c, found.temperature_max_c) == (41, 60)


def test_counters_grow_over_the_window_and_gauges_have_their_mean_and_peak() -> None:
    """Events of cores and packages are added; a baseline does not count."""
    readings = [
        series("cpu_frequency_mean_mhz", 800, 2000, 3000, 2500),
        series("cpu_frequency_min_mhz", 400, 1500, 1200, 1800),
        series("core_throttle_count", 0, 2, 3, 5),
        series("package_throttle_count", 7, 7, 7, 8),
        series("pressure_cpu_s", 0.0, 1.0, 1.25, 1.5),
        series("cgroup_throttled_s", 0.0, 0.0, 0.0, 0.0),
        series("cgroup_memory_bytes", 9e9, 1e6, 3e6, 2e6),
    ]
    found = surroundings(readings, baseline=BASELINE, window=WINDOW, package_temperatures=())
    assert (found.frequency_mean_mhz, found.frequency_min_mhz) == (2500, 1200)
    assert found.throttle_events == 4
    assert (found.pressure_cpu_s, found.pressure_memory_s) == (0.5, None)
    assert (found.cgroup_throttled_s, found.cgroup_peak_bytes) == (0.0, 3_000_000)


def test_events_of_which_a_part_is_unknown_are_unknown() -> None:
    """0 of the package and nothing of the cores are not 0."""
    readings = [series("core_throttle_count", 0, 2, 3, nan), series("package_throttle_count", 7, 7, 7, 7)]
    assert surroundings(readings, baseline=BASELINE, window=WINDOW, package_temperatures=()).throttle_events is None
