"""Polling of sensors from one thread; the raw bytes are kept, and decoded to numbers later.

In a window of many minutes the oldest bytes are decoded meanwhile, a few at a time, into arrays of eight bytes
a number: so eight hours of readings need some ten megabytes, and not a gigabyte.
"""

from __future__ import annotations

import time
from array import array
from collections import deque
from collections.abc import Callable
from math import nan

from agent.sensors import Raw, Sensor
from joulefleet.measurement import Readings

RAW_READINGS = 4096
"""Number of readings of a sensor that are kept as bytes: nothing is parsed in the first minutes of a window."""

HELD_UP_NS = 300_000
"""Longest duration of a read that is trusted, ns. A read takes some ten microseconds; in a much longer one another
process ran."""

MARK_TRIES = 4
"""Number of reads at a mark, at most, until one was not held up."""

TOGETHER_NS = 5_000_000
"""Sensors due within this time, ns, are read together: a wake-up of their own would cost more than all their reads."""

_DECODED_AT_ONCE = 64


class Sampler:
    """Reads several sensors: each at its own period, and all of them at each mark.

    An attempt owns one sampler, and calls it from one thread: `add` for each sensor, then `mark` at the edges
    of phases and `poll` in between, `readings` at any time, and `close` at the end. The sensor that is added
    first is the one whose readings must have exact times (the energy counters). `mark` and `poll` do not
    raise: a failed read is NaN.
    """

    def __init__(self, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock_ns = clock_ns
        self._tracks: list[_Track] = []
        self.last_ns = 0
        """Time of the last mark, ns."""

    def add(self, sensor: Sensor, *, period_s: float) -> None:
        """Poll `sensor` every `period_s` seconds from now on, and read it at every mark.

        A sensor without channels is closed at once.
        """
        if not sensor.channels:
            sensor.close()
            return
        self._tracks.append(_Track(sensor, int(period_s * 1e9), self._clock_ns()))

    def mark(self) -> int:
        """Read every sensor now, and return the common time of these readings, ns of CLOCK_MONOTONIC.

        The first sensor's value must belong to exactly that time: where the process was held up between clock
        and read, both are taken again.
        """
        if not self._tracks:
            self.last_ns = self._clock_ns()
            return self.last_ns
        first, *others = self._tracks
        now, raw = self._exact_read(first.sensor)
        first.keep(now, raw)
        for track in others:
            track.keep(now, track.sensor.read())
        self.last_ns = now
        return now

    def _exact_read(self, sensor: Sensor) -> tuple[int, Raw]:
        for _ in range(MARK_TRIES - 1):
            before = self._clock_ns()
            raw = sensor.read()
            if self._clock_ns() - before <= HELD_UP_NS:
                return before, raw
        return self._clock_ns(), sensor.read()

    def poll(self) -> float:
        """Read the sensors that are due, or nearly so, and return the seconds until the next one is due.

        The first sensor is read as exactly as at a mark: after a delay its power would be wrong.
        """
        now = self._clock_ns()
        soon, due = now + TOGETHER_NS, now + 3_600_000_000_000
        for number, track in enumerate(self._tracks):
            if track.due_ns <= soon:
                now, raw = (now, track.sensor.read()) if number else self._exact_read(track.sensor)
                track.keep(now, raw)
            due = min(due, track.due_ns)
        return max(0.0, (due - self._clock_ns()) / 1e9)

    def readings(self) -> list[Readings]:
        """Return all readings so far, channel by channel."""
        return [readings for track in self._tracks for readings in track.readings()]

    def readings_of(self, sensor: Sensor) -> list[Readings]:
        """Return the readings of `sensor` so far; all its channels share one array of times."""
        return [readings for track in self._tracks if track.sensor is sensor for readings in track.readings()]

    def close(self) -> None:
        """Close every sensor."""
        for track in self._tracks:
            track.sensor.close()


class _Track:
    def __init__(self, sensor: Sensor, period_ns: int, now_ns: int) -> None:
        self.sensor = sensor
        self.due_ns = now_ns + period_ns
        self._period_ns = period_ns
        self._t_ns = array("q")
        self._raw: deque[Raw] = deque()
        self._values = [array("d") for _ in sensor.channels]

    def keep(self, now_ns: int, raw: Raw) -> None:
        self._t_ns.append(now_ns)
        self._raw.append(raw)
        # From now, not from when it was due: a late poll is not followed by several at once.
        self.due_ns = now_ns + self._period_ns
        if len(self._raw) >= RAW_READINGS + _DECODED_AT_ONCE:
            self._decode(_DECODED_AT_ONCE)

    def readings(self) -> list[Readings]:
        self._decode(len(self._raw))
        return [
            Readings(channel=channel, t_ns=self._t_ns, value=values)
            for channel, values in zip(self.sensor.channels, self._values, strict=True)
        ]

    def _decode(self, count: int) -> None:
        for _ in range(count):
            for values, value in zip(self._values, self.sensor.decode(self._raw.popleft()), strict=True):
                values.append(nan if value is None else value)
