"""Time in which at least one task of the machine waited for CPU, memory or I/O, from /proc/pressure.

The kernel calls it pressure stall information (PSI): Linux's Documentation/accounting/psi.rst.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from agent.host.files import exists, text
from agent.sensors.base import FileSensor, Missing, Raw
from agent.sensors.files import KeptFiles
from joulefleet.measurement import Channel

RESOURCES = ("cpu", "memory", "io")
"""Names of the files in /proc/pressure."""

# The line `some` comes first: three averages of six characters at most, and a total of 64 bits.
_FIRST_LINE_BYTES = 128
_SOME = re.compile(rb"some (?:\S+ )*total=(\d+)\n")


class PressureSensor(FileSensor):
    """Seconds of waiting since boot, one channel for each resource that can be read."""

    name = "pressure"

    def decode(self, raw: Raw) -> tuple[float | None, ...]:
        """Return the seconds since boot in which at least one task waited; None where the line has no such number."""
        return tuple(_seconds(field) for field in raw)


def open_pressure(proc_root: Path) -> PressureSensor:
    """Open the resources under `proc_root` (`/proc`) that can be read; the others are listed as missing."""
    folder = proc_root / "pressure"
    # With psi=0 some kernels have the files and fail every read of them (EOPNOTSUPP): opening them proves nothing.
    readable = tuple(resource for resource in RESOURCES if text(folder / resource) is not None)
    files = KeptFiles((folder / resource for resource in readable), size=_FIRST_LINE_BYTES)
    channels = (
        Channel(name=f"pressure_{resource}_s", unit="s", kind="counter", source=PressureSensor.name)
        for resource in readable
    )
    return PressureSensor(files, channels, _missing(folder, readable))


def _missing(folder: Path, readable: tuple[str, ...]) -> tuple[Missing, ...]:
    absent = [resource for resource in RESOURCES if resource not in readable]
    if not absent:
        return ()
    what = f"pressure on {', '.join(absent)}"
    if any(exists(folder / resource) and not os.access(folder / resource, os.R_OK) for resource in absent):
        message = f"{folder} is there, but this user may not read it"
        return (Missing(what=what, why="not_permitted", message=message, cure="Run the agent as root."),)
    message = f"{folder} cannot be read: the kernel was built without it, or started with psi=0"
    cure = "Boot with psi=1 (Linux 4.20 or newer, built with CONFIG_PSI). Everything else is measured without it."
    return (Missing(what=what, why="absent", message=message, cure=cure),)


def _seconds(field: bytes | None) -> float | None:
    match = _SOME.match(field or b"")
    return int(match[1]) / 1e6 if match else None
