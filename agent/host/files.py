"""Small text files of /sys, /proc and /etc, read where time does not matter: None where unreadable.

Nothing here raises or waits, whatever lies in the place of a file: a pipe, a device, endless digits.
"""

from __future__ import annotations

import os
from pathlib import Path

# The kernel's numbers have 64 bits; anything much longer is not one of them.
_LONGEST_NUMBER = 32
# The longest file read here is /proc/cpuinfo: some 1.4 kB a CPU, 0.7 MB on 512 of them.
_MOST_BYTES = 4 << 20
_CHUNK_BYTES = 64 << 10


def text(path: Path) -> str | None:
    """The text of the first 4 MiB without the blanks around it; None where it cannot be read, or is empty."""
    try:
        content = _content(path)
    except (OSError, ValueError):
        # ValueError: a path with a NUL in it.
        return None
    return content.decode("utf-8", errors="replace").strip("\0 \t\r\n") or None


def exists(path: Path) -> bool:
    """Whether there is something at `path` that this user may know of."""
    # Path.exists raises where a folder on the way may not be entered.
    try:
        return path.exists()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether there is a folder at `path` that this user may know of."""
    try:
        return path.is_dir()
    except OSError:
        return False


def number(path: Path) -> int | None:
    """The whole number that the file holds; None where it holds anything else."""
    return whole_number(text(path) or "")


def table(path: Path, separator: str = ":") -> dict[str, str]:
    """The file's lines of key, separator, value; the first of a repeated key. Empty where unreadable."""
    rows: dict[str, str] = {}
    for line in (text(path) or "").splitlines():
        key, found, value = line.partition(separator)
        if found:
            rows.setdefault(key.strip(), value.strip())
    return rows


def number_in(path: Path, key: str, *, separator: str = ":") -> int | None:
    """The whole number beside `key` in a file of key, separator, value; None where there is none."""
    return count(table(path, separator).get(key, ""))


def kib(value: str | None) -> int | None:
    """Bytes of a value such as `1234 kB`; None where it is no such value."""
    found = count((value or "").removesuffix("kB").strip())
    return None if found is None else found * 1024


def whole_number(digits: str) -> int | None:
    """The number that `digits`, and a minus where it has one, are; None where they are anything else.

    int() alone would take "1_000" and "+5" as well, and raises for more than 4300 digits.
    """
    if len(digits) > _LONGEST_NUMBER or not digits.isascii() or not digits.removeprefix("-").isdecimal():
        return None
    return int(digits)


def count(digits: str) -> int | None:
    """The whole number of 0 or more that `digits` are; None where they are anything else."""
    found = whole_number(digits)
    return None if found is None or found < 0 else found


def _content(path: Path) -> bytes:
    """What the file holds, up to `_MOST_BYTES`. A pipe is not waited for: it is empty, or an error."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        content = bytearray()
        # The kernel hands out its own files a page or so at a time.
        while len(content) < _MOST_BYTES:
            part = os.read(descriptor, min(_CHUNK_BYTES, _MOST_BYTES - len(content)))
            if not part:
                break
            content += part
    finally:
        os.close(descriptor)
    return bytes(content)
