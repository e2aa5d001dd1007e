"""Temperatures of the CPU packages, from hwmon, or from thermal zones where no hwmon chip is the CPU's.

One file a package, never one a core: coretemp fetches each by an interrupt on the core it belongs to.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.host.files import text
from agent.sensors.base import Missing, Raw
from agent.sensors.files import KeptFiles
from agent.sensors.sysfs import NUMBER_BYTES, integer, numbered
from joulefleet.measurement import Channel

MOST_FILES = 8
"""As many packages as the largest machines have."""

LOWEST_DEGC, HIGHEST_DEGC = -40, 150
"""Outside of this a sensor is broken or unconnected: they give -273, or 200 and more."""

# Of each chip the best label that it has. Tdie is the temperature itself, Tctl the same with an offset for
# the fans (Documentation/hwmon/k10temp.rst); before Linux 4.14 coretemp wrote "Physical id".
_AMD = ("tdie", "tctl", "")
_CHIPS = {
    r"coretemp": (r"package id \d+", r"physical id \d+"),
    r"k10temp": _AMD,
    r"zenpower": _AMD,
    r"cpu[\d_-]*thermal\d*|via_cputemp": (r".*",),
}
_ZONES = (r"x86_pkg_temp", r"cpu[\d_-]*thermal\d*")
# The firmware's own zone: often the board's temperature, or a number that never changes.
_LAST_ZONE = r"acpitz"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    chip: str
    label: str
    file: Path


class ThermalSensor:
    """Kept descriptors of one temperature a package, in degrees Celsius."""

    name = "thermal"

    def __init__(self, *, files: KeptFiles, channels: Sequence[str], package_channels: Sequence[str]) -> None:
        self._files = files
        self.missing: tuple[Missing, ...] = ()
        self.package_channels = tuple(package_channels)
        """Those by which a cool-down is judged: all, but for the firmware's acpitz."""
        self.channels = tuple(
            Channel(name=channel, unit="degC", kind="gauge", source=self.name) for channel in channels
        )

    def read(self) -> Raw:
        """The bytes of each temperature; None where a read fails."""
        return self._files.read()

    def decode(self, raw: Raw) -> tuple[float | None, ...]:
        """Degrees Celsius; None where it is not a number, or not a temperature that a CPU can have."""
        return tuple(_degrees(field) for field in raw)

    def close(self) -> None:
        """Close the files."""
        self._files.close()


def open_thermal(sysfs_root: Path) -> ThermalSensor:
    """The package temperatures under `sysfs_root` (`/sys`); no channel where there is none."""
    packages = list(_chips(sysfs_root)) or list(_zones(sysfs_root, _ZONES))
    found = (packages or list(_zones(sysfs_root, (_LAST_ZONE,))))[:MOST_FILES]
    files = KeptFiles()
    for source in found:
        files.add(source.file, size=NUMBER_BYTES)
    channels = _names(found)
    return ThermalSensor(files=files, channels=channels, package_channels=channels if packages else ())


def _chips(sysfs_root: Path) -> Iterator[_Source]:
    """The package's temperature of each hwmon chip that is a CPU's."""
    for _, folder in numbered(sysfs_root / "class/hwmon", r"hwmon(\d+)"):
        chip = text(folder / "name") or ""
        wanted = next((labels for pattern, labels in _CHIPS.items() if re.fullmatch(pattern, chip)), ())
        inputs = _inputs(folder)
        for pattern in wanted:
            fitting = [(label, file) for label, file in inputs if re.fullmatch(pattern, label)]
            if fitting:
                label, file = fitting[0]
                yield _Source(chip=chip, label=label or file.name.removesuffix("_input"), file=file)
                break


def _inputs(folder: Path) -> list[tuple[str, Path]]:
    """Label in small letters (empty where it has none) and file of each temperature of a hwmon chip."""
    return [
        ((text(folder / f"temp{index}_label") or "").lower(), file)
        for index, file in numbered(folder, r"temp(\d+)_input")
        if os.access(file, os.R_OK)
    ]


def _zones(sysfs_root: Path, types: Sequence[str]) -> Iterator[_Source]:
    """The thermal zones of the first of `types` that there is."""
    zones = [
        _Source(chip=kind, label=folder.name, file=folder / "temp")
        for _, folder in numbered(sysfs_root / "class/thermal", r"thermal_zone(\d+)")
        if (kind := text(folder / "type")) and os.access(folder / "temp", os.R_OK)
    ]
    for pattern in types:
        fitting = [zone for zone in zones if re.fullmatch(pattern, zone.chip)]
        if fitting:
            yield from fitting
            return


def _names(sources: Sequence[_Source]) -> list[str]:
    """A name each. Two packages' chips that say the same (k10temp) are told apart by a number."""
    names: list[str] = []
    for source in sources:
        label = re.sub(r"\s+", "-", source.label)
        tries = (f"temperature/{chip}/{label}" for chip in _numbered_chips(source.chip))
        names.append(next(name for name in tries if name not in names))
    return names


def _numbered_chips(chip: str) -> Iterator[str]:
    yield chip
    for number in range(2, MOST_FILES + 1):
        yield f"{chip}-{number}"


def _degrees(field: bytes | None) -> float | None:
    millidegrees = integer(field)
    if millidegrees is None or not LOWEST_DEGC * 1000 <= millidegrees <= HIGHEST_DEGC * 1000:
        return None
    return millidegrees / 1000
