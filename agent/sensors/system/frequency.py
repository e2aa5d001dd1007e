"""Clock frequencies of the CPUs, from cpufreq.

A read may interrupt the CPU whose frequency it is (before Linux 5.18 the kernel sampled APERF and
MPERF there), so at most `MOST_CPUS` CPUs are read, spread evenly over the machine.
"""

from __future__ import annotations

import os
from pathlib import Path

from agent.sensors.base import FileSensor, Raw
from agent.sensors.files import CPUS, KeptFiles, integer, numbered
from joulefleet.measurement import Channel

MOST_CPUS = 8
"""Largest number of CPUs that are read."""

LOWEST_MHZ, HIGHEST_MHZ = 10, 10_000
"""Frequencies between which a value is believed, MHz: drivers that do not know the frequency write 0."""


class FrequencySensor(FileSensor):
    """Mean and lowest frequency of the CPUs that are read, MHz."""

    name = "frequency"

    def decode(self, raw: Raw) -> tuple[float | None, ...]:
        """Return mean and lowest MHz of the CPUs that have a value; None where none has.

        Some drivers give no value for an idle CPU.
        """
        if not self.channels:
            return ()
        known = [mhz for field in raw if (mhz := _mhz(field)) is not None]
        return (sum(known) / len(known), min(known)) if known else (None, None)


def open_frequency(sysfs_root: Path) -> FrequencySensor:
    """Open the frequencies under `sysfs_root` (`/sys`); there is no channel where there is no cpufreq."""
    paths = _spread(_frequency_files(sysfs_root))
    names = ("cpu_frequency_mean_mhz", "cpu_frequency_min_mhz") if paths else ()
    channels = (Channel(name=name, unit="MHz", kind="gauge", source=FrequencySensor.name) for name in names)
    return FrequencySensor(KeptFiles(paths), channels)


def _frequency_files(sysfs_root: Path) -> list[Path]:
    """Return one file for each policy, in the order of the CPUs: the CPUs of a policy share one frequency."""
    folder = sysfs_root / CPUS
    candidates = [path / "cpufreq" for _, path in numbered(folder, r"cpu(\d+)")]
    candidates += [path for _, path in numbered(folder / "cpufreq", r"policy(\d+)")]
    files: dict[Path, Path] = {}
    for candidate in candidates:
        file = candidate / "scaling_cur_freq"
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
