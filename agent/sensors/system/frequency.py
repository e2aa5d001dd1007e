"""Clock frequencies of the CPUs, from cpufreq.

A read may cost an interrupt on the CPU that is asked (before Linux 5.18 the kernel sampled APERF and
MPERF there), so at most `MOST_CPUS` are asked, spread evenly over the machine.
"""

from __future__ import annotations

import os
from pathlib import Path

from agent.sensors.base import Missing, Raw
from agent.sensors.files import KeptFiles
from agent.sensors.sysfs import CPUS, NUMBER_BYTES, integer, numbered
from joulefleet.measurement import Channel

MOST_CPUS = 8

LOWEST_MHZ, HIGHEST_MHZ = 10, 10_000
"""No CPU runs outside of this; drivers that do not know write 0."""


class FrequencySensor:
    """Kept descriptors of scaling_cur_freq of some CPUs; mean and lowest of those that answer, in MHz."""

    name = "frequency"

    def __init__(self, *, files: KeptFiles, channels: tuple[Channel, ...]) -> None:
        self._files = files
        self.missing: tuple[Missing, ...] = ()
        self.channels = channels

    def read(self) -> Raw:
        """The bytes of each CPU's frequency; None where a read fails."""
        return self._files.read()

    def decode(self, raw: Raw) -> tuple[float | None, ...]:
        """Mean and lowest MHz of the CPUs that answer (some drivers do not for an idle one); None where none does."""
        if not self.channels:
            return ()
        known = [mhz for field in raw if (mhz := _mhz(field)) is not None]
        return (sum(known) / len(known), min(known)) if known else (None, None)

    def close(self) -> None:
        """Close the files."""
        self._files.close()


def open_frequency(sysfs_root: Path) -> FrequencySensor:
    """The frequencies under `sysfs_root` (`/sys`); no channel where there is no cpufreq."""
    files = KeptFiles()
    paths = _spread(_files(sysfs_root))
    for path in paths:
        files.add(path, size=NUMBER_BYTES)
    names = ("cpu_frequency_mean_mhz", "cpu_frequency_min_mhz") if paths else ()
    channels = tuple(Channel(name=name, unit="MHz", kind="gauge", source=FrequencySensor.name) for name in names)
    return FrequencySensor(files=files, channels=channels)


def _files(sysfs_root: Path) -> list[Path]:
    """One file a policy, in the order of the CPUs: those of one policy run at one frequency."""
    folder = sysfs_root / CPUS
    places = [path / "cpufreq" for _, path in numbered(folder, r"cpu(\d+)")]
    places += [path for _, path in numbered(folder / "cpufreq", r"policy(\d+)")]
    files: dict[Path, Path] = {}
    for place in places:
        file = place / "scaling_cur_freq"
        if os.access(file, os.R_OK):
            # cpu4/cpufreq is a link to the folder of its policy.
            files.setdefault(Path(os.path.realpath(file)), file)
    return list(files.values())


def _spread(paths: list[Path]) -> list[Path]:
    count = min(len(paths), MOST_CPUS)
    return [paths[index * len(paths) // count] for index in range(count)]


def _mhz(field: bytes | None) -> float | None:
    khz = integer(field)
    return khz / 1000 if khz is not None and LOWEST_MHZ * 1000 <= khz <= HIGHEST_MHZ * 1000 else None
