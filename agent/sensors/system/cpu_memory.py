"""CPU time, stolen time and available memory of the machine as a whole, from /proc."""

from __future__ import annotations

import os
from pathlib import Path

from agent.host.files import number_in
from agent.sensors.base import FileSensor, Missing, Raw
from agent.sensors.files import KeptFiles
from joulefleet.measurement import Channel

# The lines that are needed come first: the line `cpu ...` of stat, and `MemAvailable`, the third line of meminfo.
_TOP_BYTES = 256
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_SOURCE = "host"


class HostSensor(FileSensor):
    """CPU time of all CPUs since boot: busy, and stolen by the hypervisor. Its file is /proc/stat."""

    name = _SOURCE

    def decode(self, raw: Raw) -> tuple[float | None, ...]:
        """Return busy and stolen CPU seconds since boot, summed over all CPUs."""
        return _cpu_seconds(raw[0])


class MemorySensor(FileSensor):
    """Memory available. Its file is /proc/meminfo, the most expensive one for the kernel to write."""

    name = _SOURCE

    def decode(self, raw: Raw) -> tuple[float | None, ...]:
        """Return the bytes available."""
        return (_available_bytes(raw[0]),)


def open_host(proc_root: Path) -> HostSensor:
    """Open the machine's CPU time under `proc_root` (`/proc`)."""
    files, missing = _open(proc_root / "stat", "CPU time of the machine")
    names = ("machine_cpu_s", "machine_steal_s")
    return HostSensor(files, (Channel(name=name, unit="s", kind="counter", source=_SOURCE) for name in names), missing)


def open_memory(proc_root: Path) -> MemorySensor:
    """Open the machine's available memory under `proc_root` (`/proc`)."""
    files, missing = _open(proc_root / "meminfo", "memory available")
    channel = Channel(name="machine_memory_available_bytes", unit="bytes", kind="gauge", source=_SOURCE)
    return MemorySensor(files, (channel,), missing)


def oom_kills(proc_root: Path) -> int | None:
    """Return how many processes the kernel has killed since boot because memory ran out."""
    return number_in(proc_root / "vmstat", "oom_kill", separator=" ")


def _open(path: Path, what: str) -> tuple[KeptFiles, tuple[Missing, ...]]:
    files = KeptFiles()
    error = files.add(path, size=_TOP_BYTES)
    if error is None:
        return files, ()
    missing = Missing(
        what=what,
        why="not_permitted" if isinstance(error, PermissionError) else "absent",
        message=f"{path}: {error.strerror}",
        cure="Give the folder where procfs is mounted.",
    )
    return files, (missing,)


def _cpu_seconds(stat: bytes | None) -> tuple[float | None, float | None]:
    fields = stat.split(b"\n", 1)[0].split() if stat else []
    ticks = [int(field) for field in fields[1:9] if field.isdigit()]
    if len(ticks) < 8 or fields[0] != b"cpu":
        return None, None
    # Guest time follows these eight and is left out: the kernel has counted it in user and nice already.
    user, nice, system, _idle, _iowait, irq, softirq, steal = ticks
    return (user + nice + system + irq + softirq) / _TICKS_PER_S, steal / _TICKS_PER_S


def _available_bytes(meminfo: bytes | None) -> int | None:
    for line in (meminfo or b"").splitlines():
        fields = line.split()
        if len(fields) == 3 and fields[0] == b"MemAvailable:" and fields[1].isdigit():
            return int(fields[1]) * 1024
    return None
