"""The sensors of one attempt, and the sampler that polls them."""

from __future__ import annotations

from dataclasses import dataclass

from agent.config import AgentSetup
from agent.sensors.gpu.nvml import NvmlSensor, open_nvml
from agent.sensors.rapl.powercap import open_powercap
from agent.sensors.rapl.pyrapl import open_pyrapl
from agent.sensors.rapl.sensor import EnergySensor
from agent.sensors.system.cgroup import open_cgroup_usage
from agent.sensors.system.cpu_memory import open_host, open_memory
from agent.sensors.system.frequency import open_frequency
from agent.sensors.system.pressure import open_pressure
from agent.sensors.system.process import open_process_tree
from agent.sensors.system.thermal import ThermalSensor, open_thermal
from agent.sensors.system.throttling import open_throttling
from agent.trial.sampler import Sampler
from joulefleet.study.spec import EnergySource

SLOW_PERIOD_S = 1.0
"""Period of the sensors that change slowly or cost more to read, seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorSet:
    """The sensors that an attempt uses by name, and the sampler that polls these and all others."""

    sampler: Sampler
    energy: EnergySensor
    thermal: ThermalSensor
    gpu: NvmlSensor

    def watch(self, pid: int, setup: AgentSetup, *, period_s: float) -> None:
        """Poll the work's process `pid`, every `period_s` seconds, and its control group from now on."""
        self.sampler.add(open_process_tree([pid], setup.proc_root), period_s=period_s)
        self.sampler.add(open_cgroup_usage(pid, setup.sysfs_root, setup.proc_root), period_s=SLOW_PERIOD_S)


def open_energy(source: EnergySource, setup: AgentSetup) -> EnergySensor:
    """Return the energy sensor that the study requests; without channels where the machine has no counters."""
    if source == "pyrapl":
        return open_pyrapl(setup.sysfs_root, setup.proc_root)
    return open_powercap(setup.sysfs_root, setup.proc_root, setup.powercap)


def open_sensors(source: EnergySource, setup: AgentSetup, *, period_s: float) -> SensorSet:
    """Open the sensors of this machine; energy and CPU time are polled every `period_s` seconds."""
    sampler = Sampler()
    energy, gpu, thermal = open_energy(source, setup), open_nvml(setup.sysfs_root), open_thermal(setup.sysfs_root)
    # The sampler reads the sensor that is added first at the exact time of a mark.
    sampler.add(energy, period_s=period_s)
    sampler.add(gpu, period_s=period_s)
    sampler.add(open_host(setup.proc_root), period_s=period_s)
    sampler.add(thermal, period_s=SLOW_PERIOD_S)
    for gauge in (
        open_memory(setup.proc_root),
        open_frequency(setup.sysfs_root),
        open_throttling(setup.sysfs_root),
        open_pressure(setup.proc_root),
    ):
        sampler.add(gauge, period_s=SLOW_PERIOD_S)
    return SensorSet(sampler=sampler, energy=energy, thermal=thermal, gpu=gpu)
