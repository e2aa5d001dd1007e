"""How often the CPUs were slowed down since boot because they were too hot, from Intel's thermal_throttle.

Every logical CPU shows two counters, one of its core and one of its package. The CPUs of a core show
the same count, and so do those of a package: each core and each package is read once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.host.files import text
from agent.sensors.base import FileSensor, Raw
from agent.sensors.files import CPUS, KeptFiles, integer, numbered
from joulefleet.measurement import Channel

MOST_CORES = 64
"""Largest number of cores that are read. Above it only the packages are: a hot core slows its package too."""


class ThrottlingSensor(FileSensor):
    """Events of all cores, and of all packages, since boot; None where one of the counters cannot be read."""

    name = "throttling"

    def __init__(self, counters: Mapping[str, Sequence[Path]]) -> None:
        files = KeptFiles(path for paths in counters.values() for path in paths)
        self._counts = [len(paths) for paths in counters.values()]
        super().__init__(files, (Channel(name=name, unit="1", kind="counter", source=self.name) for name in counters))

    def decode(self, raw: Raw) -> tuple[float | None, ...]:
        """Return the events since boot, summed over the cores and over the packages."""
        sums, start = [], 0
        for count in self._counts:
            sums.append(_sum(raw[start : start + count]))
            start += count
        return tuple(sums)


def open_throttling(sysfs_root: Path) -> ThrottlingSensor:
    """Open the counters under `sysfs_root` (`/sys`); there is no channel where the CPUs have none (AMD)."""
    cores: dict[str, Path] = {}
    packages: dict[str, Path] = {}
    for _, cpu in numbered(sysfs_root / CPUS, r"cpu(\d+)"):
        core, package = cpu / "thermal_throttle/core_throttle_count", cpu / "thermal_throttle/package_throttle_count"
        if os.access(core, os.R_OK):
            cores.setdefault(_core(cpu), core)
        if os.access(package, os.R_OK):
            packages.setdefault(text(cpu / "topology/physical_package_id") or "", package)
    counters: dict[str, Sequence[Path]] = {}
    if 0 < len(cores) <= MOST_CORES:
        counters["core_throttle_count"] = list(cores.values())
    if packages:
        counters["package_throttle_count"] = list(packages.values())
    return ThrottlingSensor(counters)


def _core(cpu: Path) -> str:
    """Return the list of the CPUs of this CPU's core, which names the core."""
    # core_cpus_list was called thread_siblings_list before Linux 5.3.
    names = ("core_cpus_list", "thread_siblings_list")
    return next((cpus for name in names if (cpus := text(cpu / "topology" / name))), cpu.name)


def _sum(fields: Sequence[bytes | None]) -> int | None:
    counts = [count for field in fields if (count := integer(field)) is not None and count >= 0]
    return sum(counts) if len(counts) == len(fields) else None
