"""Every sensor of one attempt, and the recorder that polls them."""

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
from agent.trial.sampler import Recorder
from joulefleet.study.spec import EnergySource

SLOW_PERIOD_S = 1.0
"""What changes slowly, or costs more to read, is read once a second and at the marks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorSet:
    """What is read while an attempt runs."""

    recorder: Recorder
    energy: EnergySensor
    thermal: ThermalSensor
    gpu: NvmlSensor

    def watch(self, pid: int, setup: AgentSetup, *, period_s: float) -> None:
        """Read the work's process, and its control group, from now on."""
        self.recorder.add(open_process_tree([pid], setup.proc_root), period_s=period_s)
        self.recorder.add(open_cgroup_usage(pid, setup.sysfs_root, setup.proc_root), period_s=SLOW_PERIOD_S)


def open_energy(source: EnergySource, setup: AgentSetup) -> EnergySensor:
    """The sensor that the study asks for. Never raises for what is missing."""
    if source == "pyrapl":
        return open_pyrapl(setup.sysfs_root, setup.proc_root)
    return open_powercap(setup.sysfs_root, setup.proc_root, setup.powercap)


def open_sensors(source: EnergySource, setup: AgentSetup, *, period_s: float) -> SensorSet:
    """Open what this machine has; energy and CPU time are polled every `period_s` seconds."""
    recorder = Recorder()
    energy, gpu, thermal = open_energy(source, setup), open_nvml(setup.sysfs_root), open_thermal(setup.sysfs_root)
    # The energy counters first: what is read at a mark before them belongs to neither side.
    recorder.add(energy, period_s=period_s)
    recorder.add(gpu, period_s=period_s)
    recorder.add(open_host(setup.proc_root), period_s=period_s)
    recorder.add(thermal, period_s=SLOW_PERIOD_S)
    for gauge in (
        open_memory(setup.proc_root),
        open_frequency(setup.sysfs_root),
        open_throttling(setup.sysfs_root),
        open_pressure(setup.proc_root),
    ):
        recorder.add(gauge, period_s=SLOW_PERIOD_S)
    return SensorSet(recorder=recorder, energy=energy, thermal=thermal, gpu=gpu)
