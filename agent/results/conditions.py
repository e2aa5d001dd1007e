"""The conditions of a window: temperature, frequency, throttling, pressure and control group. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from agent.results.series import at_end, channel, growth, mean, values_in
from joulefleet.measurement import Conditions, Phase, Readings


def conditions_of(
    readings: Sequence[Readings], *, baseline: Phase, window: Phase, package_temperatures: Collection[str]
) -> Conditions:
    """Return the conditions of an attempt; `package_temperatures` names the channels of whole packages."""
    packages = [series for series in readings if series.channel.name in package_temperatures]
    throttling = [channel(readings, f"{part}_throttle_count") for part in ("core", "package")]
    events = [growth(series, window) for series in throttling if series is not None]

    def increase(name: str) -> float | None:
        return growth(channel(readings, name), window)

    def values(name: str) -> Iterable[float]:
        return values_in(channel(readings, name), window)

    return Conditions(
        temperature_baseline_c=_highest(at_end(series, baseline) for series in packages),
        temperature_max_c=_highest(value for series in packages for value in values_in(series, window)),
        frequency_mean_mhz=mean(values("cpu_frequency_mean_mhz")),
        frequency_min_mhz_seen=min(values("cpu_frequency_min_mhz"), default=None),
        throttle_events=_as_int(_sum(events)),
        pressure_cpu_s=increase("pressure_cpu_s"),
        pressure_memory_s=increase("pressure_memory_s"),
        pressure_io_s=increase("pressure_io_s"),
        cgroup_cpu_s=increase("cgroup_cpu_s"),
        cgroup_throttled_s=increase("cgroup_throttled_s"),
        cgroup_peak_bytes=_as_int(_highest(values("cgroup_memory_bytes"))),
    )


def _highest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _sum(values: Sequence[float | None]) -> float | None:
    """Return the sum; None without values, and where one of them is unknown."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _as_int(value: float | None) -> int | None:
    return None if value is None else int(value)
