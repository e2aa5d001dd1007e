"""Polling sensors from one thread."""

from __future__ import annotations

from math import isnan

from agent.sensors import Missing, Raw
from agent.trial.sampler import RAW_READINGS, Sampler
from joulefleet.measurement import Channel


class CountingSensor:
    """A sensor whose value is how often it was read."""

    name = "counting"
    missing: tuple[Missing, ...] = ()

    def __init__(self, channel: str = "count") -> None:
        self.channels = (Channel(name=channel, unit="1", kind="counter", source="test"),)
        self.reads = 0
        self.closed = False

    def read(self) -> Raw:
        """Count a read."""
        self.reads += 1
        return (str(self.reads).encode(),)

    def decode(self, raw: Raw) -> tuple[float | None, ...]:
        """Return the count."""
        return tuple(None if part is None else float(part) for part in raw)

    def close(self) -> None:
        """Record that it was closed."""
        self.closed = True


class Clock:
    """A clock that is set by hand, ns."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        """Return the time that was set."""
        return self.now


def test_each_sensor_is_read_at_its_own_period() -> None:
    """A sensor with a period of 0.1 s is read ten times as often as one with 1 s."""
    clock = Clock()
    sampler, fast, slow = Sampler(clock), CountingSensor(), CountingSensor()
    sampler.add(fast, period_s=0.1)
    sampler.add(slow, period_s=1.0)
    for _ in range(30):
        clock.now += 100_000_000
        sampler.poll()
    assert (fast.reads, slow.reads) == (30, 3)


def test_poll_returns_when_the_next_sensor_is_due() -> None:
    """The agent waits exactly until then, so it neither spins nor is late."""
    clock = Clock()
    sampler = Sampler(clock)
    sampler.add(CountingSensor(), period_s=0.1)
    clock.now = 30_000_000
    assert sampler.poll() == 0.07


def test_a_late_poll_is_not_followed_by_several_at_once() -> None:
    """After five missed periods a sensor is read once, not five times."""
    clock = Clock()
    sampler, sensor = Sampler(clock), CountingSensor()
    sampler.add(sensor, period_s=0.1)
    clock.now = 550_000_000
    sampler.poll()
    sampler.poll()
    assert sensor.reads == 1


def test_a_mark_reads_everything_at_one_time() -> None:
    """The readings at a mark carry the mark's own time, in every channel."""
    clock = Clock()
    sampler = Sampler(clock)
    for name in ("a", "b"):
        sampler.add(CountingSensor(name), period_s=60.0)
    clock.now = 12_345
    assert sampler.mark() == sampler.last_ns == 12_345
    assert [(r.channel.name, list(r.t_ns), list(r.value)) for r in sampler.readings()] == [
        ("a", [12_345], [1.0]),
        ("b", [12_345], [1.0]),
    ]


def test_closing_closes_every_sensor() -> None:
    """No descriptor outlives the trial."""
    sampler, sensors = Sampler(), [CountingSensor(), CountingSensor()]
    for sensor in sensors:
        sampler.add(sensor, period_s=1.0)
    sampler.close()
    assert all(sensor.closed for sensor in sensors)


def test_a_long_recording_is_decoded_while_it_runs() -> None:
    """The oldest bytes become numbers, a few at a time, and none is lost or changed."""
    clock, sensor = Clock(), CountingSensor()
    sampler = Sampler(clock)
    sampler.add(sensor, period_s=1.0)
    count = 3 * RAW_READINGS
    for second in range(1, count + 1):
        clock.now = second * 1_000_000_000
        sampler.poll()
    assert len(sampler._tracks[0]._raw) <= RAW_READINGS + 64
    (readings,) = sampler.readings()
    assert list(readings.value) == list(range(1, count + 1))
    assert list(readings.t_ns) == [second * 1_000_000_000 for second in range(1, count + 1)]


def test_a_failed_read_is_not_a_number() -> None:
    """It is NaN, which no sum can mistake for a value."""
    sampler, sensor = Sampler(Clock()), CountingSensor()
    sensor.read = lambda: (None,)  # type: ignore[method-assign]  # a sensor that fails
    sampler.add(sensor, period_s=1.0)
    sampler.mark()
    assert isnan(sampler.readings()[0].value[0])


def test_a_sensor_without_channels_is_closed_at_once() -> None:
    """There is nothing to poll."""
    sampler, sensor = Sampler(Clock()), CountingSensor()
    sensor.channels = ()  # type: ignore[assignment]  # as on a machine without it
    sampler.add(sensor, period_s=1.0)
    sampler.mark()
    assert (sensor.closed, sensor.reads, sampler.readings()) == (True, 0, [])


def test_a_reading_that_was_held_up_is_repeated_with_its_time() -> None:
    """Another process ran between clock and read, so the value would belong to a later time."""
    clock, sensor = Clock(), CountingSensor()
    holds = [400_000_000, 120_000_000]

    def read_late() -> Raw:
        clock.now += holds.pop(0) if holds else 10_000
        return CountingSensor.read(sensor)

    sensor.read = read_late  # type: ignore[method-assign]  # a process that is held up
    sampler = Sampler(clock)
    sampler.add(sensor, period_s=0.0)
    sampler.poll()
    (readings,) = sampler.readings()
    assert (list(readings.t_ns), list(readings.value)) == ([520_000_000], [3.0])
    holds.append(50_000_000)
    before = clock.now
    assert sampler.mark() == before + 50_000_000
