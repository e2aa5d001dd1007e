"""The sensors of an attempt."""

from __future__ import annotations

import os
from pathlib import Path

from agent.config import AgentSetup
from agent.trial.sensor_set import open_energy, open_sensors
from joulefleet.study.spec import EnergySource
from tests.support.attempts import PACKAGE


def a_package(root: Path) -> Path:
    """Write a powercap tree of one package, and return it as a /sys."""
    zone = root / "class/powercap/intel-rapl:0"
    zone.mkdir(parents=True)
    for name, value in {"name": "package-0", "energy_uj": "5", "max_energy_range_uj": str(PACKAGE.range_uj)}.items():
        (zone / name).write_text(value + "\n")
    return root


def test_the_energy_counters_are_read_first(tmp_path: Path) -> None:
    """The first sensor is the one whose readings have the exact time of a mark."""
    sensors = open_sensors("powercap", AgentSetup(sysfs_root=a_package(tmp_path)), period_s=0.1)
    sensors.sampler.mark()
    readings = sensors.sampler.readings()
    assert readings[0].channel.name == "package-0"
    assert {"machine_cpu_s", "machine_steal_s"} <= {series.channel.name for series in readings}
    sensors.sampler.close()


def test_the_work_is_watched_from_its_start_on(tmp_path: Path) -> None:
    """Its process did not exist before; memory and CPU time are read at the next mark."""
    setup = AgentSetup(sysfs_root=tmp_path)
    sensors = open_sensors("powercap", setup, period_s=0.1)
    before = {series.channel.name for series in sensors.sampler.readings()}
    sensors.watch(os.getpid(), setup, period_s=0.1)
    sensors.sampler.mark()
    added = {series.channel.name: series for series in sensors.sampler.readings() if series.channel.name not in before}
    assert added["work_rss_bytes"].value[0] > 1_000_000
    sensors.sampler.close()


def test_a_machine_without_counters_has_an_energy_sensor_without_channels(tmp_path: Path) -> None:
    """It says why, whichever source the study requests; nothing is raised."""
    sources: tuple[EnergySource, ...] = ("powercap", "pyrapl")
    for source in sources:
        energy = open_energy(source, AgentSetup(sysfs_root=tmp_path))
        assert (energy.name, energy.channels) == (source, ())
        assert energy.missing[0].message


def test_no_descriptor_outlives_an_attempt(tmp_path: Path) -> None:
    """An agent measures thousands of trials in one process."""
    setup = AgentSetup(sysfs_root=a_package(tmp_path))

    def open_descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    open_sensors("powercap", setup, period_s=0.1).sampler.close()
    before = open_descriptors()
    sensors = open_sensors("powercap", setup, period_s=0.1)
    sensors.watch(os.getpid(), setup, period_s=0.1)
    assert open_descriptors() > before
    sensors.sampler.close()
    assert open_descriptors() == before
