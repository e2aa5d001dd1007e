"""The cool-down after a trial."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from agent.config import AgentSetup
from agent.sensors.gpu.nvml import open_nvml
from agent.sensors.rapl.powercap import open_powercap
from agent.sensors.system.thermal import open_thermal
from agent.trial import attempt as attempt_module
from agent.trial.attempt import Attempt
from agent.trial.sampler import Sampler
from agent.trial.sensor_set import SensorSet
from tests.support.tiny_trials import tiny_trial

BASELINE_C = 40


class Machine:
    """A /sys tree whose temperature and idle power change from check to check."""

    def __init__(self, root: Path, *, cooling_c: list[int] | None = None, idle_w: list[float] | None = None) -> None:
        self.root = root
        self.cooling_c = cooling_c or []
        self.idle_w = idle_w or []
        self.started_ns = time.monotonic_ns()
        self.energy_uj = 5_000_000.0
        self.last_ns = self.started_ns
        if cooling_c is not None:
            self._write("class/hwmon/hwmon0/name", "coretemp")
            self._write("class/hwmon/hwmon0/temp1_label", "Package id 0")
        if idle_w is not None:
            self._write("class/powercap/intel-rapl:0/name", "package-0")
            self._write("class/powercap/intel-rapl:0/max_energy_range_uj", "262143328850")
        self.check = -1
        self.show(0)

    def show(self, check: int) -> None:
        """Write the files of check number `check`; number 0 is the baseline."""
        now_ns = time.monotonic_ns()
        watts = ([10.0, *self.idle_w] + [10.0] * 99)[check]
        self.energy_uj += watts * (now_ns - self.last_ns) / 1e3
        self.last_ns, self.check = now_ns, check
        if self.cooling_c:
            self._write("class/hwmon/hwmon0/temp1_input", str(1000 * [BASELINE_C, *self.cooling_c][check]))
        if self.idle_w:
            self._write("class/powercap/intel-rapl:0/energy_uj", str(int(self.energy_uj)))

    def _write(self, name: str, value: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value + "\n", encoding="utf-8")


class WatchedAttempt(Attempt):
    """An attempt whose idling moves the machine on to its next check."""

    machine: Machine
    idled: list[float]
    cooling = False

    def _idle(self, seconds: float) -> None:
        self.idled.append(seconds)
        # Under 100 ms there is no energy.
        time.sleep(0.12)
        last = len(self.machine.cooling_c or self.machine.idle_w)
        self.machine.show(min(self.machine.check + 1, last) if self.cooling else 0)


def cooled_down(machine: Machine, monkeypatch: pytest.MonkeyPatch, *, at_most_s: float = 60.0) -> WatchedAttempt:
    """Return the attempt after its cool-down."""
    monkeypatch.setattr(attempt_module, "COOL_DOWN_CHECK_S", 0.12)
    trial = tiny_trial()
    timing = replace(trial.protocol.timing, baseline_s=0.12, cool_down_fixed_s=7.0, cool_down_at_most_s=at_most_s)
    trial = replace(trial, protocol=replace(trial.protocol, timing=timing))
    sampler, energy, thermal = Sampler(), open_powercap(machine.root), open_thermal(machine.root)
    sampler.add(energy, period_s=60.0)
    sampler.add(thermal, period_s=60.0)
    sensors = SensorSet(sampler=sampler, energy=energy, thermal=thermal, gpu=open_nvml(machine.root))
    attempt = WatchedAttempt(trial, AgentSetup(sysfs_root=machine.root), sensors, time.monotonic() + 60)
    attempt.machine, attempt.idled = machine, []
    attempt.baseline()
    attempt.idled.clear()
    attempt.cooling = True
    attempt.cool_down()
    sampler.close()
    return attempt


def test_the_cool_down_ends_when_the_temperature_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends within 2 kelvin of the temperature at the end of the idle baseline."""
    attempt = cooled_down(Machine(tmp_path, cooling_c=[70, 70, 55, 45, 42, 41]), monkeypatch)
    assert attempt.observed.flags == []
    assert len(attempt.idled) == 5
    assert attempt.observed.phases[-1].name == "cool_down"


def test_a_machine_that_stays_hot_gets_a_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cool-down has a limit; then the next trial starts on a warm machine, and the row says so."""
    attempt = cooled_down(Machine(tmp_path, cooling_c=[70, 60]), monkeypatch, at_most_s=0.3)
    assert attempt.observed.flags == ["not_cooled_down"]


def test_without_a_temperature_idle_power_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must be within 5 % of the baseline's."""
    attempt = cooled_down(Machine(tmp_path, idle_w=[30.0, 20.0, 10.1, 10.0]), monkeypatch)
    assert attempt.observed.flags == []
    assert 3 <= len(attempt.idled) <= 4


def test_where_neither_is_readable_the_cool_down_has_a_fixed_duration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The study sets it."""
    attempt = cooled_down(Machine(tmp_path), monkeypatch)
    assert attempt.idled == [7.0]
    assert attempt.observed.flags == []


def test_a_sensor_that_fails_during_the_cool_down_ends_in_the_fixed_duration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """-273 °C is no temperature, so nothing shows any more that the machine is cool."""
    attempt = cooled_down(Machine(tmp_path, cooling_c=[70, -273]), monkeypatch)
    assert attempt.idled[-1] == 7.0
