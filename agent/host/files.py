"""Small text files of /sys, /proc and /etc, read outside of measured windows.

Nothing here raises or waits, whatever is in the place of a file (a pipe, a device, endless digits):
what cannot be read is None.
"""

from __future__ import annotations

import os
from pathlib import Path

# The kernel's numbers have 64 bits, so 20 digits and a sign.
_MAX_DIGITS = 32
# The longest file read here is /proc/cpuinfo: some 1.4 kB a CPU, 0.7 MB on 512 of them.
_MAX_BYTES = 4 << 20
_CHUNK_BYTES = 64 << 10


def text(path: Path) -> str | None:
    """Return the text of the first 4 MiB without the blanks around it; None where it is unreadable or empty."""
    try:
        content = _content(path)
    except (OSError, ValueError):
        # ValueError: the path contains a NUL.
        return None
    return content.decode("utf-8", errors="replace").strip("\0 \t\r\n") or None


def exists(path: Path) -> bool:
    """Return whether this user can see something at `path`."""
    # Path.exists raises where a folder of the path may not be entered.
    try:
        return path.exists()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Return whether this user can see a folder at `path`."""
    try:
        return path.is_dir()
    except OSError:
        return False


def number(path: Path) -> int | None:
    """Return the whole number that the file holds; None where it holds anything else."""
    return whole_number(text(path) or "")


def table(path: Path, separator: str = ":") -> dict[str, str]:
    """Return the file's lines of key, separator and value, the first of a repeated key; empty where unreadable."""
    rows: dict[str, str] = {}
    for line in (text(path) or "").splitlines():
        key, middle, value = line.partition(separator)
        if middle:
            rows.setdefault(key.strip(), value.strip())
    return rows


def number_in(path: Path, key: str, *, separator: str = ":") -> int | None:
    """Return the whole number of 0 or more that a file of key, separator and value has for `key`; None without one."""
    return count(table(path, separator).get(key, ""))


def kib(value: str | None) -> int | None:
    """Return the bytes of a value such as `1234 kB`; None where it is no such value."""
    kilobytes = count((value or "").removesuffix("kB").strip())
    return None if kilobytes is None else kilobytes * 1024


def whole_number(digits: str) -> int | None:
    """Return the number that `digits` are, with or without a minus; None where they are anything else.

    int() alone accepts "1_000" and "+5" too, and raises for more than 4300 digits.
    """
    if len(digits) > _MAX_DIGITS or not digits.isascii() or not digits.removeprefix("-").isdecimal():
        return None
    return int(digits)


def count(digits: str) -> int | None:
    """Return the whole number of 0 or more that `digits` are; None where they are anything else."""
    value = whole_number(digits)
    return None if value is None or value < 0 else value


def _content(path: Path) -> bytes:
    """Return the first `_MAX_BYTES` of the file. A pipe gives nothing, or an error, and is not waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        content = bytearray()
        # The kernel returns its own files a page or so at a time.
        while len(content) < _MAX_BYTES:
            part = os.read(descriptor, min(_CHUNK_BYTES, _MAX_BYTES - len(content)))
            if not part:
                break
            content += part
    finally:
        os.close(descriptor)
    return bytes(content)
