"""The peer pyRAPL 0.2.3.1: the energy that it computes from two readings of RAPL's counters.

Its own ``Measurement`` and ``SubstractableList`` do the work, on a sensor that returns given
readings; pyRAPL's own sensor reads ``/sys`` alone.
"""

import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from math import isnan
from typing import Any

_JOULES_PER_UJ = 1e-6


def can_read(channel: str) -> bool:
    """Return whether pyRAPL reads such a counter: one package for each socket, and its memory."""
    return re.fullmatch(r"package-\d+(/dram)?", channel) is not None


def joules(before_uj: Mapping[str, float], after_uj: Mapping[str, float]) -> dict[str, float | None]:
    """Return the joules of each counter (``package-0``, ``package-0/dram``) between two readings.

    None stands for no number. NaN is a read that failed: pyRAPL raises then, and returns no number at all.
    """
    if not before_uj or any(isnan(value) for value in (*before_uj.values(), *after_uj.values())):
        return dict.fromkeys(before_uj)
    pyrapl = _import()
    readings = iter((before_uj, after_uj))
    pyrapl._sensor = _Sensor(readings, pyrapl.sensor.SubstractableList)  # noqa: SLF001 - where Measurement finds it
    measurement = pyrapl.Measurement("window")
    measurement.begin()
    measurement.end()
    lists = {"package": measurement.result.pkg, "dram": measurement.result.dram}
    by_channel: dict[str, float | None] = {}
    for channel in before_uj:
        socket, kind = _socket_and_kind(channel)
        values = lists[kind]
        by_channel[channel] = None if values is None else values[socket] * _JOULES_PER_UJ
    return by_channel


class _Sensor:
    """Returns the values of package and memory of each socket, -1 where there is none, as pyRAPL's own sensor."""

    def __init__(self, readings: Iterator[Mapping[str, float]], list_type: Any) -> None:
        self._readings = readings
        self._list = list_type

    def energy(self) -> Any:
        reading = next(self._readings)
        sockets = 1 + max(_socket_and_kind(channel)[0] for channel in reading)
        values = [-1.0, -1.0] * sockets
        for channel, uj in reading.items():
            socket, kind = _socket_and_kind(channel)
            values[2 * socket + (kind == "dram")] = uj
        return self._list(values)


def _socket_and_kind(channel: str) -> tuple[int, str]:
    package, _, inside = channel.partition("/")
    return int(package.removeprefix("package-")), inside or "package"


def _import() -> Any:
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyRAPL
    logging.disable(logging.NOTSET)
    return pyRAPL
