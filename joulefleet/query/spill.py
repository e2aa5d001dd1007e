"""The folder for what queries write to disk while they run, and the removal of folders that killed processes left.

A process holds a lock on a file in its folder. Where that lock is free, nobody uses the folder: the kernel
releases a lock however its process ends. Names, process ids and times prove nothing, because they are reused.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Self

from joulefleet.locks import is_at, try_lock

_PREFIX = "joulefleet-query-"
_OWN_NAME = re.compile(rf"{_PREFIX}[a-z0-9_]{{8}}")
"""Names that tempfile gives. A folder that a user has named is never removed."""

_LOCK = "lock"


class SpillFolder:
    """A folder of this process. Owned by a `Store`; `remove` is called once, at the end."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def make(cls, parent: Path | None = None) -> Self:
        """Make a new folder in `parent`, by default in `$TMPDIR`."""
        while True:
            path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
            try:
                descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            except FileNotFoundError:
                continue  # removed by a sweep before it had a lock file
            locked = True
            with suppress(OSError):  # without locks on this file system, no sweep removes it either
                locked = try_lock(descriptor)
            if locked and is_at(path / _LOCK, descriptor):
                return cls(path, descriptor)
            os.close(descriptor)  # a sweep took the lock first, and removes the folder

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._descriptor)


def sweep(parent: Path | None = None) -> None:
    """Remove this user's folders in `parent`, by default in `$TMPDIR`, whose processes have ended.

    Leaves a folder that cannot be removed; raises nothing.
    """
    with suppress(OSError), os.scandir(parent or tempfile.gettempdir()) as entries:
        for entry in entries:
            if _OWN_NAME.fullmatch(entry.name):
                with suppress(OSError):
                    _sweep(Path(entry.path), entry.stat(follow_symlinks=False))


def _sweep(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.getuid():
        return
    try:
        descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        path.rmdir()  # has no lock file yet, so it is empty; a process that is making it makes another one
        return
    try:
        if try_lock(descriptor) and is_at(path / _LOCK, descriptor):
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(descriptor)
