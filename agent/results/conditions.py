"""How the machine was while the work ran: temperature, frequency, throttling, pressure, control group. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from agent.results.series import at_end, channel, growth, mean, values_in
from joulefleet.measurement import Phase, Readings, Surroundings


def surroundings(
    readings: Sequence[Readings], *, baseline: Phase, window: Phase, package_temperatures: Collection[str]
) -> Surroundings:
    """The record of one attempt; `package_temperatures` names the channels of whole packages."""
    hottest = [series for series in readings if series.channel.name in package_temperatures]
    frequency = values_in(channel(readings, "cpu_frequency_mean_mhz"), window)
    counters = [channel(readings, f"{part}_throttle_count") for part in ("core", "package")]
    events = [growth(series, window) for series in counters if series is not None]
    return Surroundings(
        temperature_baseline_c=_highest(at_end(series, baseline) for series in hottest),
        temperature_max_c=_highest(value for series in hottest for value in values_in(series, window)),
        frequency_mean_mhz=mean(frequency),
        frequency_min_mhz=min(values_in(channel(readings, "cpu_frequency_min_mhz"), window), default=None),
        throttle_events=_whole(_sum(events)),
        pressure_cpu_s=growth(channel(readings, "pressure_cpu_s"), window),
        pressure_memory_s=growth(channel(readings, "pressure_memory_s"), window),
        pressure_io_s=growth(channel(readings, "pressure_io_s"), window),
        cgroup_cpu_s=growth(channel(readings, "cgroup_cpu_s"), window),
        cgroup_throttled_s=growth(channel(readings, "cgroup_throttled_s"), window),
        cgroup_peak_bytes=_whole(max(values_in(channel(readings, "cgroup_memory_bytes"), window), default=None)),
    )


def _highest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _sum(values: Sequence[float | None]) -> float | None:
    """The sum; None of nothing, and where a part is unknown."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
