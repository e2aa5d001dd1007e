"""What the sensors of sysfs share: folders that are numbered, and files that hold one whole number."""

from __future__ import annotations

import re
from pathlib import Path

from agent.host.files import whole_number

CPUS = "devices/system/cpu"
"""The folder of the logical CPUs, below sysfs's root."""

NUMBER_BYTES = 32
"""The kernel's numbers have 64 bits: 20 digits, a sign and the end of the line."""


def numbered(folder: Path, pattern: str) -> list[tuple[int, Path]]:
    """The entries whose whole name is `pattern`, in the order of its first group, a number; none where unreadable."""
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:
        return []
    matches = (re.fullmatch(pattern, name) for name in names)
    return sorted((int(match[1]), folder / match[0]) for match in matches if match)


def integer(field: bytes | None) -> int | None:
    """The whole number that was read; None where it is anything else."""
    return whole_number(field.strip().decode("ascii", errors="replace")) if field else None
