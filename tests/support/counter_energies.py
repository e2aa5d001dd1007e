"""Energies of a window whose readings a test gives."""

from __future__ import annotations

from math import nan

from agent.results.energy import CounterSeries, phase_energies
from agent.sensors.rapl.sensor import EnergySensor
from joulefleet.measurement import Energy, Phase

_WINDOW = Phase(name="window", start_ns=0, end_ns=1_000_000_000)


def energies_of(sensor: EnergySensor, *readings: tuple[int | None, ...]) -> tuple[Energy, ...]:
    """Return the energies of a window of one second with `readings` at equal distances."""
    step_ns = _WINDOW.end_ns // max(len(readings) - 1, 1)
    values = {
        channel.name: [_number(reading[index]) for reading in readings] for index, channel in enumerate(sensor.channels)
    }
    series = CounterSeries(t_ns=[i * step_ns for i in range(len(readings))], values=values)
    return phase_energies(series, sensor.domains, [_WINDOW], source=sensor.name, provenance="measured")


def _number(value: int | None) -> float:
    return nan if value is None else float(value)
