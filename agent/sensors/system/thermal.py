"""Temperatures of the CPU packages, from hwmon, or from thermal zones where no hwmon chip belongs to the CPU.

One file is read for each package and none for each core: coretemp reads every temperature by an
interrupt on a core it belongs to.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.host.files import text
from agent.sensors.base import FileSensor, Raw
from agent.sensors.files import KeptFiles, integer, numbered
from joulefleet.measurement import Channel

MOST_FILES = 8
"""Largest number of temperatures that are read: the largest machines have as many packages."""

LOWEST_DEGC, HIGHEST_DEGC = -40, 150
"""Temperatures between which a value is believed, degrees Celsius: broken sensors give -273, or 200 and more."""

# For each chip the labels of a package's temperature, the best first. Tdie is the temperature itself, Tctl the same
# with an offset for the fans (Documentation/hwmon/k10temp.rst); before Linux 4.14 coretemp wrote "Physical id".
_AMD = ("tdie", "tctl", "")
_CHIPS = {
    r"coretemp": (r"package id \d+", r"physical id \d+"),
    r"k10temp": _AMD,
    r"zenpower": _AMD,
    r"cpu[\d_-]*thermal\d*|via_cputemp": (r".*",),
}
_ZONES = (r"x86_pkg_temp", r"cpu[\d_-]*thermal\d*")
# The firmware's own zone: often the temperature of the board, or a number that never changes.
_LAST_ZONE = r"acpitz"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Temperature:
    chip: str
    """The name of the hwmon chip, or the type of the thermal zone."""
    label: str
    file: Path


class ThermalSensor(FileSensor):
    """One temperature for each package, degrees Celsius."""

    name = "thermal"

    def __init__(self, files: KeptFiles, channels: Sequence[str], package_channels: Sequence[str]) -> None:
        super().__init__(
            files, (Channel(name=channel, unit="degC", kind="gauge", source=self.name) for channel in channels)
        )
        self.package_channels = tuple(package_channels)
        """The channels that a cool-down is judged by: all but the firmware's acpitz."""

    def decode(self, raw: Raw) -> tuple[float | None, ...]:
        """Return degrees Celsius; None where the file holds no temperature that a CPU can have."""
        return tuple(_degrees(field) for field in raw)


def open_thermal(sysfs_root: Path) -> ThermalSensor:
    """Open the package temperatures under `sysfs_root` (`/sys`); there is no channel where there is none."""
    packages = list(_chips(sysfs_root)) or list(_zones(sysfs_root, _ZONES))
    temperatures = (packages or list(_zones(sysfs_root, (_LAST_ZONE,))))[:MOST_FILES]
    files = KeptFiles(temperature.file for temperature in temperatures)
    channels = _channel_names(temperatures)
    return ThermalSensor(files, channels, package_channels=channels if packages else ())


def _chips(sysfs_root: Path) -> Iterator[_Temperature]:
    """Yield the package's temperature of each hwmon chip that belongs to a CPU."""
    for _, folder in numbered(sysfs_root / "class/hwmon", r"hwmon(\d+)"):
        chip = text(folder / "name") or ""
        wanted = next((labels for pattern, labels in _CHIPS.items() if re.fullmatch(pattern, chip)), ())
        inputs = _inputs(folder)
        for pattern in wanted:
            fitting = [(label, file) for label, file in inputs if re.fullmatch(pattern, label)]
            if fitting:
                label, file = fitting[0]
                yield _Temperature(chip=chip, label=label or file.name.removesuffix("_input"), file=file)
                break


def _inputs(folder: Path) -> list[tuple[str, Path]]:
    """Return the label in small letters (empty where it has none) and the file of each temperature of a chip."""
    return [
        ((text(folder / f"temp{index}_label") or "").lower(), file)
        for index, file in numbered(folder, r"temp(\d+)_input")
        if os.access(file, os.R_OK)
    ]


def _zones(sysfs_root: Path, types: Sequence[str]) -> Iterator[_Temperature]:
    """Yield the thermal zones of the first of `types` that this machine has."""
    zones = [
        _Temperature(chip=kind, label=folder.name, file=folder / "temp")
        for _, folder in numbered(sysfs_root / "class/thermal", r"thermal_zone(\d+)")
        if (kind := text(folder / "type")) and os.access(folder / "temp", os.R_OK)
    ]
    for pattern in types:
        fitting = [zone for zone in zones if re.fullmatch(pattern, zone.chip)]
        if fitting:
            yield from fitting
            return


def _channel_names(temperatures: Sequence[_Temperature]) -> list[str]:
    """Return a channel name for each. Chips of the same name and label (two of k10temp) get a number."""
    names: list[str] = []
    for temperature in temperatures:
        label = re.sub(r"\s+", "-", temperature.label)
        numbers = ("", *(f"-{number}" for number in range(2, MOST_FILES + 1)))
        candidates = (f"temperature/{temperature.chip}{number}/{label}" for number in numbers)
        names.append(next(name for name in candidates if name not in names))
    return names


def _degrees(field: bytes | None) -> float | None:
    millidegrees = integer(field)
    if millidegrees is None or not LOWEST_DEGC * 1000 <= millidegrees <= HIGHEST_DEGC * 1000:
        return None
    return millidegrees / 1000
