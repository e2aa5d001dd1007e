"""How often the CPUs were slowed down because they were too hot, since boot; from Intel's thermal_throttle.

Every logical CPU has both counters, but those of one core count the same events, and so do those of
one package: each core and each package is read once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.host.files import text
from agent.sensors.base import Missing, Raw
from agent.sensors.files import KeptFiles
from agent.sensors.sysfs import CPUS, NUMBER_BYTES, integer, numbered
from joulefleet.measurement import Channel

MOST_CORES = 64
"""On larger machines only the packages are read: a core that is too hot is a package that is."""


class ThrottlingSensor:
    """Kept descriptors of the counters; sums over cores and over packages, None where one of them cannot be read."""

    name = "throttling"

    def __init__(self, counters: Mapping[str, Sequence[Path]]) -> None:
        self._files = KeptFiles()
        self._counts = [len(paths) for paths in counters.values()]
        for paths in counters.values():
            for path in paths:
                self._files.add(path, size=NUMBER_BYTES)
        self.missing: tuple[Missing, ...] = ()
        self.channels = tuple(Channel(name=name, unit="1", kind="counter", source=self.name) for name in counters)

    def read(self) -> Raw:
        """The bytes of each counter; None where a read fails."""
        return self._files.read()

    def decode(self, raw: Raw) -> tuple[float | None, ...]:
        """How often since boot, all cores (or all packages) together."""
        sums, start = [], 0
        for count in self._counts:
            sums.append(_sum(raw[start : start + count]))
            start += count
        return tuple(sums)

    def close(self) -> None:
        """Close the files."""
        self._files.close()


def open_throttling(sysfs_root: Path) -> ThrottlingSensor:
    """The counters under `sysfs_root` (`/sys`); no channel where the CPUs have none, as AMD's."""
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
    """What the logical CPUs of one core have in common: the list of them."""
    # core_cpus_list was called thread_siblings_list before Linux 5.3.
    names = ("core_cpus_list", "thread_siblings_list")
    return next((found for name in names if (found := text(cpu / "topology" / name))), cpu.name)


def _sum(fields: Sequence[bytes | None]) -> int | None:
    counts = [count for field in fields if (count := integer(field)) is not None and count >= 0]
    return sum(counts) if len(counts) == len(fields) else None
