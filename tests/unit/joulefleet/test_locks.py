"""Locks on files between processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from joulefleet.locks import is_at, try_lock

_HOLD = (
    "import os, sys; from joulefleet.locks import try_lock; "
    "d = os.open(sys.argv[1], os.O_RDWR); print(try_lock(d), flush=True); sys.stdin.read()"
)


def opened(path: Path) -> int:
    """Open the file once more."""
    return os.open(path, os.O_RDWR | os.O_CREAT)


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    """A second descriptor is refused at once, and takes it when the first is closed."""
    first, second = opened(tmp_path / "lock"), opened(tmp_path / "lock")
    assert try_lock(first)
    assert not try_lock(second)
    os.close(first)
    assert try_lock(second)
    os.close(second)


def test_several_shared_locks_can_be_held(tmp_path: Path) -> None:
    """They exclude a lock that is not shared."""
    first, second, third = (opened(tmp_path / "lock") for _ in range(3))
    assert try_lock(first, shared=True)
    assert try_lock(second, shared=True)
    assert not try_lock(third)
    for descriptor in (first, second, third):
        os.close(descriptor)


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    """No lock lives longer than the process that holds it."""
    mine = opened(tmp_path / "lock")
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        assert not try_lock(mine)
        process.kill()
        process.wait()
    assert try_lock(mine)
    os.close(mine)


def test_a_file_that_was_replaced_is_another(tmp_path: Path) -> None:
    """A process that opens the path now would lock another file."""
    path = tmp_path / "lock"
    descriptor = opened(path)
    assert is_at(path, descriptor)
    path.unlink()
    assert not is_at(path, descriptor)
    path.touch()
    assert not is_at(path, descriptor)
    os.close(descriptor)
