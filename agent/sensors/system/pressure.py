"""Time in which some of the machine's tasks waited for CPU, memory or I/O (PSI), from /proc/pressure."""

from __future__ import annotations

import os
import re
from pathlib import Path

from agent.host.files import exists, text
from agent.sensors.base import Missing, Raw
from agent.sensors.files import KeptFiles
from joulefleet.measurement import Channel

RESOURCES = ("cpu", "memory", "io")

# The line `some` stands first: three averages of six characters at most, and a 64-bit total.
_FIRST_LINE_BYTES = 128
_SOME = re.compile(rb"some (?:\S+ )*total=(\d+)\n")


class PressureSensor:
    """Kept descriptors of the resources' files; seconds since boot."""

    name = "pressure"

    def __init__(self, *, files: KeptFiles, resources: tuple[str, ...], missing: tuple[Missing, ...]) -> None:
        self._files = files
        self.missing = missing
        self.channels = tuple(
            Channel(name=f"pressure_{resource}_s", unit="s", kind="counter", source=self.name) for resource in resources
        )

    def read(self) -> Raw:
        """The first bytes of each file; None where a read fails."""
        return self._files.read()

    def decode(self, raw: Raw) -> tuple[float | None, ...]:
        """Seconds in which at least one task waited; None where the line does not say."""
        return tuple(_seconds(field) for field in raw)

    def close(self) -> None:
        """Close the files."""
        self._files.close()


def open_pressure(proc_root: Path) -> PressureSensor:
    """The resources under `proc_root` (`/proc`) that can be read; the others are said."""
    folder = proc_root / "pressure"
    # With psi=0 some kernels have the files, and fail every read of them (EOPNOTSUPP): opening tells nothing.
    readable = tuple(resource for resource in RESOURCES if text(folder / resource) is not None)
    files = KeptFiles()
    for resource in readable:
        files.add(folder / resource, size=_FIRST_LINE_BYTES)
    return PressureSensor(files=files, resources=readable, missing=_missing(folder, readable))


def _missing(folder: Path, readable: tuple[str, ...]) -> tuple[Missing, ...]:
    absent = [resource for resource in RESOURCES if resource not in readable]
    if not absent:
        return ()
    what = f"pressure on {', '.join(absent)}"
    if any(exists(folder / resource) and not os.access(folder / resource, os.R_OK) for resource in absent):
        message = f"{folder} is there, but this user may not read it"
        return (Missing(what=what, why="not_permitted", message=message, cure="Run the agent as root."),)
    message = f"{folder} cannot be read: the kernel does not count it, or was told not to"
    cure = "Boot with psi=1 (Linux 4.20 or newer, built with CONFIG_PSI); nothing else is lost without it."
    return (Missing(what=what, why="absent", message=message, cure=cure),)


def _seconds(field: bytes | None) -> float | None:
    match = _SOME.match(field or b"")
    return int(match[1]) / 1e6 if match else None
