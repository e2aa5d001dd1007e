"""The folder in which a query may spill, and its removal where the process that made it was killed.

Its process holds a lock on a file in it. Whoever can take that lock knows that nobody uses the folder
any more; the kernel lets go of the lock however the process ended. Names, processes and times are not
asked: they are used again.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Self

_PREFIX = "joulefleet-query-"
_OURS = re.compile(rf"{_PREFIX}[a-z0-9_]{{8}}")
"""As tempfile names them; so nothing that a user has named is ever removed."""

_LOCK = "lock"


class ScratchFolder:
    """A folder of this process, for as long as it is open."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def make(cls, parent: Path | None = None) -> Self:
        """A new folder in `parent`, by default in `$TMPDIR`."""
        while True:
            path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
            try:
                descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            except FileNotFoundError:
                continue  # swept away before there was anything to lock
            if _locked(descriptor) is not False and _is_there(path / _LOCK, descriptor):
                return cls(path, descriptor)
            os.close(descriptor)  # taken by one who sweeps, before we had locked it

    def remove(self) -> None:
        """Remove it with all that is in it. Called once."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._descriptor)


def sweep(parent: Path | None = None) -> None:
    """Remove the folders of this user in `parent`, by default in `$TMPDIR`, whose processes are gone.

    What cannot be removed stays, and is nobody's trouble now.
    """
    with suppress(OSError), os.scandir(parent or tempfile.gettempdir()) as entries:
        for entry in entries:
            if _OURS.fullmatch(entry.name):
                with suppress(OSError):
                    _sweep(Path(entry.path), entry.stat(follow_symlinks=False))


def _sweep(path: Path, seen: os.stat_result) -> None:
    if seen.st_uid != os.getuid():
        return
    try:
        descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        path.rmdir()  # killed before it locked, so empty; one that is being made is made again
        return
    try:
        if _locked(descriptor) and _is_there(path / _LOCK, descriptor):
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool | None:
    """Whether the lock was taken: False where another has it, None where there are no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
