"""The whole machine: CPU seconds, seconds stolen by the hypervisor, memory available; from /proc."""

from __future__ import annotations

import os
from pathlib import Path

from agent.host.files import number_in
from agent.sensors.base import Missing, Raw
from agent.sensors.files import KeptFiles
from joulefleet.measurement import Channel

# What is needed stands at the top: the line `cpu ...`, and `MemAvailable` third of meminfo.
_TOP_BYTES = 256
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class HostSensor:
    """A kept descriptor of /proc/stat."""

    name = "host"

    def __init__(self, *, files: KeptFiles, missing: tuple[Missing, ...]) -> None:
        self._files = files
        self.missing = missing
        self.channels = (
            Channel(name="machine_cpu_s", unit="s", kind="counter", source=self.name),
            Channel(name="machine_steal_s", unit="s", kind="counter", source=self.name),
        )

    def read(self) -> Raw:
        """The top of the file; None where the read fails."""
        return self._files.read()

    def decode(self, raw: Raw) -> tuple[float | None, ...]:
        """Busy CPU seconds and stolen seconds, of all CPUs since boot."""
        return _cpu_seconds(raw[0])

    def close(self) -> None:
        """Close the file."""
        self._files.close()


class MemorySensor:
    """A kept descriptor of /proc/meminfo, which costs the kernel more than all else that is read."""

    name = "host"

    def __init__(self, *, files: KeptFiles, missing: tuple[Missing, ...]) -> None:
        self._files = files
        self.missing = missing
        self.channels = (Channel(name="machine_memory_available_bytes", unit="bytes", kind="gauge", source=self.name),)

    def read(self) -> Raw:
        """The top of the file; None where the read fails."""
        return self._files.read()

    def decode(self, raw: Raw) -> tuple[float | None, ...]:
        """Bytes available."""
        return (_available_bytes(raw[0]),)

    def close(self) -> None:
        """Close the file."""
        self._files.close()


def open_host(proc_root: Path) -> HostSensor:
    """The machine's CPU time under `proc_root` (`/proc`)."""
    files, missing = _open(proc_root / "stat", "CPU time of the machine")
    return HostSensor(files=files, missing=missing)


def open_memory(proc_root: Path) -> MemorySensor:
    """The machine's memory under `proc_root` (`/proc`)."""
    files, missing = _open(proc_root / "meminfo", "memory available")
    return MemorySensor(files=files, missing=missing)


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


def oom_kills(proc_root: Path) -> int | None:
    """How many processes the kernel has killed for want of memory since boot."""
    return number_in(proc_root / "vmstat", "oom_kill", separator=" ")


def _cpu_seconds(stat: bytes | None) -> tuple[float | None, float | None]:
    fields = stat.split(b"\n", 1)[0].split() if stat else []
    ticks = [int(field) for field in fields[1:9] if field.isdigit()]
    if len(ticks) < 8 or fields[0] != b"cpu":
        return None, None
    # Guest time follows and is left out: the kernel has counted it in user and nice already.
    user, nice, system, _idle, _iowait, irq, softirq, steal = ticks
    return (user + nice + system + irq + softirq) / _TICKS_PER_S, steal / _TICKS_PER_S


def _available_bytes(meminfo: bytes | None) -> int | None:
    for line in (meminfo or b"").splitlines():
        fields = line.split()
        if len(fields) == 3 and fields[0] == b"MemAvailable:" and fields[1].isdigit():
            return int(fields[1]) * 1024
    return None
