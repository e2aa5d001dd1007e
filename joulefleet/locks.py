"""Locks on files, taken without waiting; closing the descriptor or the end of its process gives them back."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Take the lock of an open file without waiting; False where another process holds it.

    The lock belongs to the open file (flock): a child that inherits `descriptor` holds it too. Raises
    OSError where the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_at(path: Path, descriptor: int) -> bool:
    """Tell whether `path` is still the open file: another process may have removed or replaced it meanwhile."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
