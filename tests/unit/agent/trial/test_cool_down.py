"""The rest after a trial."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from agent.config import AgentSetup
from agent.sensors.gpu.nvml import open_nvml
from agent.sensors.rapl.powercap import open_powercap
from agent.sensors.system.thermal import open_thermal
from agent.trial import attempt
from agent.trial.attempt import Attempt
from agent.trial.sampler import Recorder
from agent.trial.sensor_set import SensorSet
from tests.support.trials import tiny_trial

BASELINE_C = 40


class Machine:
    """A /sys tree whose temperature and energy counter change with each look at the clock."""

    def __init__(self, root: Path, *, cooling_c: list[int] | None = None, idle_w: list[float] | None = None) -> None:
        self.root = root
        self.cooling_c = cooling_c or []
        self.idle_w = idle_w or []
        self.begun_ns = time.monotonic_ns()
        self.energy_uj = 5_000_000.0
        self.last_ns = self.begun_ns
        if cooling_c is not None:
            self._write("class/hwmon/hwmon0/name", "coretemp")
            self._write("class/hwmon/hwmon0/temp1_label", "Package id 0")
        if idle_w is not None:
            self._write("class/powercap/intel-rapl:0/name", "package-0")
            self._write("class/powercap/intel-rapl:0/max_energy_range_uj", "262143328850")
        self.look = -1
        self.show(0)

    def show(self, look: int) -> None:
        """As it is at its `look`: 0 is the baseline."""
        now_ns = time.monotonic_ns()
        watts = ([10.0, *self.idle_w] + [10.0] * 99)[look]
        self.energy_uj += watts * (now_ns - self.last_ns) / 1e3
        self.last_ns, self.look = now_ns, look
        if self.cooling_c:
            self._write("class/hwmon/hwmon0/temp1_input", str(1000 * [BASELINE_C, *self.cooling_c][look]))
        if self.idle_w:
            self._write("class/powercap/intel-rapl:0/energy_uj", str(int(self.energy_uj)))

    def _write(self, name: str, value: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value + "\n", encoding="utf-8")


class WatchedAttempt(Attempt):
    """An attempt whose idling lets the machine go on to its next look."""

    machine: Machine
    idled: list[float]
    resting = False

    def _idle(self, seconds: float) -> None:
        self.idled.append(seconds)
        # Long enough for an energy: there is none under 100 ms.
        time.sleep(0.12)
        last = len(self.machine.cooling_c or self.machine.idle_w)
        self.machine.show(min(self.machine.look + 1, last) if self.resting else 0)


def rested(machine: Machine, monkeypatch: pytest.MonkeyPatch, *, at_most_s: float = 60.0) -> WatchedAttempt:
    """The attempt after its cool-down."""
    monkeypatch.setattr(attempt, "COOL_DOWN_LOOK_S", 0.12)
    trial = tiny_trial()
    timing = replace(trial.protocol.timing, baseline_s=0.12, cool_down_fixed_s=7.0, cool_down_at_most_s=at_most_s)
    trial = replace(trial, protocol=replace(trial.protocol, timing=timing))
    recorder, energy, thermal = Recorder(), open_powercap(machine.root), open_thermal(machine.root)
    recorder.add(energy, period_s=60.0)
    recorder.add(thermal, period_s=60.0)
    sensors = SensorSet(recorder=recorder, energy=energy, thermal=thermal, gpu=open_nvml(machine.root))
    of = WatchedAttempt(trial, AgentSetup(sysfs_root=machine.root), sensors, time.monotonic() + 60)
    of.machine, of.idled = machine, []
    of.baseline()
    of.idled.clear()
    of.resting = True
    of.cool_down()
    recorder.close()
    return of


def test_the_rest_ends_when_the_temperature_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within 2 kelvin of what it was at the end of the idle baseline."""
    of = rested(Machine(tmp_path, cooling_c=[70, 70, 55, 45, 42, 41]), monkeypatch)
    assert of.seen.flags == []
    assert len(of.idled) == 5
    assert of.seen.phases[-1].name == "cool_down"


def test_a_machine_that_stays_hot_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest has a ceiling, and the next trial starts on a warm machine: the row says so."""
    of = rested(Machine(tmp_path, cooling_c=[70, 60]), monkeypatch, at_most_s=0.3)
    assert of.seen.flags == ["not_cooled_down"]


def test_without_a_temperature_idle_power_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within 5 % of the baseline's."""
    of = rested(Machine(tmp_path, idle_w=[30.0, 20.0, 10.1, 10.0]), monkeypatch)
    assert of.seen.flags == []
    assert 3 <= len(of.idled) <= 4


def test_where_neither_is_readable_the_rest_is_a_fixed_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the study says."""
    of = rested(Machine(tmp_path), monkeypatch)
    assert of.idled == [7.0]
    assert of.seen.flags == []


def test_a_sensor_that_breaks_during_the_rest_ends_in_the_fixed_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """-273 °C is no temperature: nothing tells any more that the machine is cool."""
    of = rested(Machine(tmp_path, cooling_c=[70, -273]), monkeypatch)
    assert of.idled[-1] == 7.0
