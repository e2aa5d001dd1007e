"""Files opened once and read again and again from their start: one system call a read.

The kernel makes the text of a /proc or /sys file anew at each read at offset 0, so a kept
descriptor reads the present value at a tenth of the cost of opening the file anew.
"""

from __future__ import annotations

import os
from pathlib import Path

from agent.sensors.base import Raw

_CLOSED = -1


class KeptFiles:
    """Kept descriptors, in the order of their `add`."""

    def __init__(self) -> None:
        self._files: list[tuple[int, int]] = []

    def add(self, path: Path, *, size: int) -> OSError | None:
        """Open `path`, of which `read` fetches `size` bytes; the error where it cannot be opened.

        A file that cannot be opened keeps its place and reads None. Nothing is waited for: a pipe in
        the place of a file reads None.
        """
        try:
            self._files.append((os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), size))
        except OSError as error:
            self._files.append((_CLOSED, size))
            return error
        return None

    def read(self) -> Raw:
        """The first bytes of every file; None where a read fails."""
        try:
            return tuple([os.pread(descriptor, size, 0) for descriptor, size in self._files])
        except OSError:
            # One of them has failed: which, and what the others say.
            return tuple([_fetch(descriptor, size) for descriptor, size in self._files])

    def close(self) -> None:
        """Close them all; they read None from then on."""
        for descriptor, _ in self._files:
            if descriptor != _CLOSED:
                os.close(descriptor)
        # A closed number may be given to another file, which must never be read in its place.
        self._files = [(_CLOSED, size) for _, size in self._files]


def _fetch(descriptor: int, size: int) -> bytes | None:
    if descriptor == _CLOSED:
        return None
    try:
        return os.pread(descriptor, size, 0)
    except OSError:
        return None
