"""Files of /proc and /sys that a sensor keeps open, the numbers in them, and folders that are numbered.

The kernel writes the text of such a file anew for each read at offset 0. So a file that is kept open
shows the present value for one system call a read, a tenth of the cost of opening it each time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from agent.host.files import whole_number

CPUS = "devices/system/cpu"
"""Folder of the logical CPUs, relative to sysfs's root."""

NUMBER_BYTES = 32
"""Size of a file that holds one number, bytes: the kernel's have 64 bits, so 20 digits, a sign and a newline."""

_CLOSED = -1


class KeptFiles:
    """Files that stay open, in the order in which they were added."""

    def __init__(self, paths: Iterable[Path] = (), *, size: int = NUMBER_BYTES) -> None:
        self._files: list[tuple[int, int]] = []
        for path in paths:
            self.add(path, size=size)

    def add(self, path: Path, *, size: int = NUMBER_BYTES) -> OSError | None:
        """Open `path`, of which `read` will fetch the first `size` bytes; return the error where that fails.

        A file that cannot be opened keeps its place in the order and reads None. A pipe in place of a
        file reads None too: nothing waits for its writer.
        """
        try:
            self._files.append((os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), size))
        except OSError as error:
            self._files.append((_CLOSED, size))
            return error
        return None

    def read(self) -> tuple[bytes | None, ...]:
        """Return the first bytes of every file; None where its read fails."""
        try:
            return tuple([os.pread(descriptor, size, 0) for descriptor, size in self._files])
        except OSError:
            # One read has failed: read again file by file, so that the others keep their values.
            return tuple([_fetch(descriptor, size) for descriptor, size in self._files])

    def close(self) -> None:
        """Close all files; they read None from then on."""
        for descriptor, _ in self._files:
            if descriptor != _CLOSED:
                os.close(descriptor)
        # The system may give a closed descriptor's number to another file, which must not be read here.
        self._files = [(_CLOSED, size) for _, size in self._files]


def numbered(folder: Path, pattern: str) -> list[tuple[int, Path]]:
    """Return the entries of `folder` whose full name matches `pattern`, sorted by its first group, a number.

    The list is empty where the folder cannot be read.
    """
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:
        return []
    matches = (re.fullmatch(pattern, name) for name in names)
    return sorted((int(match[1]), folder / match[0]) for match in matches if match)


def integer(field: bytes | None) -> int | None:
    """Return the whole number that was read from a file; None where it is anything else."""
    return whole_number(field.strip().decode("ascii", errors="replace")) if field else None


def _fetch(descriptor: int, size: int) -> bytes | None:
    if descriptor == _CLOSED:
        return None
    try:
        return os.pread(descriptor, size, 0)
    except OSError:
        return None
