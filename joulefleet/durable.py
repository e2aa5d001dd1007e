"""Writes files so that after a crash at any moment each is there complete, or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def temporary_file(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file in the folder of `path`; remove it at the end if it is still there.

    Its name begins with a dot, so that no reader's pattern matches it, and ends in `.<pid>.tmp`, so that a clean-up
    knows the process that made it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def rename_durably(temporary: Path, path: Path) -> None:
    """Give the finished file `temporary` the name `path`: fsync, rename, fsync of the folder. Raises OSError."""
    descriptor = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.rename(path)
    sync_folder(path.parent)


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open `path` for writing; after the block it is there complete and durable, or not at all.

    Raises OSError and leaves nothing behind when the disk is full or read-only, or when the block raises.
    """
    with temporary_file(path) as temporary:
        with temporary.open("wb") as file:
            yield file
        rename_durably(temporary, path)


def write_durably(path: Path, data: bytes) -> None:
    """Write `data` to `path`, complete and durable or not at all. Raises OSError."""
    with atomic_write(path) as file:
        file.write(data)


def append_durably(path: Path, line: bytes) -> None:
    """Append one `line` to `path` in a single write, and fsync it, and the folder where the file is new.

    Raises OSError where the line does not fit; a part of it may then be there, without its end.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        if os.write(descriptor, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(descriptor)
        is_new = os.fstat(descriptor).st_size == len(line)
    finally:
        os.close(descriptor)
    if is_new:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames and new names in `folder` durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
