"""Reading this machine for `joulefleet doctor`: its records, its load, and every sensor once. It changes nothing."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from agent.doctor.checks import MachineLoad
from agent.doctor.container import findings_of_sharing
from agent.doctor.diagnosis import Diagnosis, EnergyCounters, Source, diagnose
from agent.host.environment import read_environment
from agent.host.files import count, kib, table, text
from agent.host.machine import read_machine
from agent.sensors.base import Missing
from agent.sensors.gpu.nvml import open_nvml
from agent.sensors.rapl.powercap import open_powercap
from agent.sensors.rapl.pyrapl import open_pyrapl
from agent.sensors.rapl.sensor import EnergySensor
from agent.sensors.system.cgroup import open_cgroup_usage
from agent.sensors.system.cpu_memory import open_host, open_memory
from agent.sensors.system.frequency import open_frequency
from agent.sensors.system.pressure import open_pressure
from agent.sensors.system.thermal import open_thermal
from agent.sensors.system.throttling import open_throttling
from joulefleet.errors import MachineError
from joulefleet.machine import Machine
from joulefleet.measurement import Channel


def examine(
    sysfs_root: Path,
    proc_root: Path,
    *,
    etc_root: Path = Path("/etc"),
    root: Path = Path("/"),
    environ: Mapping[str, str] = os.environ,
    powercap: Path | None = None,
    pid: int | None = None,
) -> Diagnosis:
    """Read this machine and return its diagnosis. Never raises for what is missing.

    `powercap` is the folder of the powercap tree where a container has it outside of sysfs. `pid` is the
    process whose control group is read; None for this process.
    """
    missing: list[Missing] = []
    machine: Machine | None = None
    try:
        machine = read_machine(sysfs_root, proc_root, etc_root=etc_root, environ=environ)
    except MachineError as error:
        missing.append(Missing(what="machine record", why="absent", message=" ".join(error.problems), cure=error.cure))
    environment = read_environment(sysfs_root, proc_root, etc_root=etc_root, root=root, environ=environ)
    energy, energy_missing = _energy(sysfs_root, proc_root, powercap)
    gauges, gauges_missing = _gauges(sysfs_root, proc_root, os.getpid() if pid is None else pid)
    return diagnose(
        machine=machine,
        environment=environment,
        load=_machine_load(proc_root),
        energy=energy,
        gauges=gauges,
        missing=(*missing, *energy_missing, *gauges_missing),
        sharing=tuple(findings_of_sharing(proc_root, etc_root=etc_root, root=root, environ=environ)),
    )


def _energy(
    sysfs_root: Path, proc_root: Path, powercap_root: Path | None
) -> tuple[EnergyCounters, tuple[Missing, ...]]:
    """Return the energy counters, and what the default source cannot read of them."""
    powercap, pyrapl = open_powercap(sysfs_root, proc_root, powercap_root), open_pyrapl(sysfs_root, proc_root)
    counters = EnergyCounters(
        domains=powercap.domains,
        of_running_kernel=powercap.of_running_kernel,
        longest_power_limit_window_s=powercap.longest_power_limit_window_s,
        sources=(_source(powercap), _source(pyrapl)),
    )
    powercap.close()
    pyrapl.close()
    return counters, powercap.missing


def _source(sensor: EnergySensor) -> Source:
    channels = tuple(channel.name for channel in sensor.channels)
    reasons = [missing.message for missing in sensor.missing]
    return Source(name=sensor.name, channels=channels, reason=None if channels else "; ".join(reasons) or None)


def _gauges(sysfs_root: Path, proc_root: Path, pid: int) -> tuple[tuple[Channel, ...], tuple[Missing, ...]]:
    """Return the channels of the other sensors that have a value now, and what is missing of them."""
    missing: list[Missing] = []
    for host in (open_host(proc_root), open_memory(proc_root)):
        host.close()
        missing += host.missing
    sensors = (
        open_thermal(sysfs_root),
        open_frequency(sysfs_root),
        open_throttling(sysfs_root),
        open_pressure(proc_root),
        open_cgroup_usage(pid, sysfs_root, proc_root),
        open_nvml(sysfs_root),
    )
    readable: list[Channel] = []
    for sensor in sensors:
        values = sensor.decode(sensor.read())
        sensor.close()
        by_channel = dict(zip(sensor.channels, values, strict=True))
        readable += [channel for channel, value in by_channel.items() if value is not None]
        missing += sensor.missing
        missing += _without_value(sensor.name, [channel.name for channel, value in by_channel.items() if value is None])
    return tuple(readable), tuple(missing)


def _without_value(source: str, names: Sequence[str]) -> Iterator[Missing]:
    if names:
        yield Missing(
            what=", ".join(names),
            why="unreadable",
            message=f"its files are there, but hold no valid number (source {source})",
            cure="Read the kernel's log (dmesg) for its driver. The value is null in every row.",
        )


def _machine_load(proc_root: Path) -> MachineLoad:
    meminfo = table(proc_root / "meminfo")
    swap, swap_free = kib(meminfo.get("SwapTotal")), kib(meminfo.get("SwapFree"))
    return MachineLoad(
        load_1min=_load_average(proc_root),
        steal_percent=_steal_percent(proc_root),
        swap_used_bytes=None if swap is None or swap_free is None else swap - swap_free,
    )


def _load_average(proc_root: Path) -> float | None:
    try:
        load = float((text(proc_root / "loadavg") or "").split()[0])
    except (IndexError, ValueError):
        return None
    return load if math.isfinite(load) else None


def _steal_percent(proc_root: Path) -> float | None:
    lines = (text(proc_root / "stat") or "").splitlines()
    # user, nice, system, idle, iowait, irq, softirq, steal; guest time is in user already.
    fields = lines[0].split()[1:9] if lines else []
    ticks = [value for field in fields if (value := count(field)) is not None]
    return 100 * ticks[7] / sum(ticks) if len(ticks) == 8 and sum(ticks) > 0 else None
