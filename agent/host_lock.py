"""One trial a physical machine: a lock file that every agent on the host knows."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from joulefleet.errors import BusyError, MachineError

LOCK_VARIABLE = "JOULEFLEET_LOCK_FOLDER"


def lock_folder() -> Path:
    """`$JOULEFLEET_LOCK_FOLDER`, else /run/lock where it can be written, else /tmp."""
    named = os.environ.get(LOCK_VARIABLE)
    if named:
        return Path(named)
    shared = Path("/run/lock")
    usable = os.access(shared, os.W_OK) or (shared / "joulefleet.lock").exists()
    return shared if usable else Path("/tmp")  # noqa: S108  # a lock of the whole host, by design


@contextmanager
def host_lock(folder: Path, *, holder: str) -> Iterator[None]:
    """Hold the host's lock. Raises BusyError at once where another agent holds it, and says which."""
    path = folder / "joulefleet.lock"
    descriptor = _open(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(
                f"this machine is busy: {_holder(descriptor)} holds {path}.",
                cure="Wait for it to end, or stop it; two trials on one machine would measure each other.",
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "holder": holder}).encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        # Without O_CREAT first: in a sticky folder the kernel refuses it for another user's file.
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        if os.fstat(descriptor).st_uid == os.geteuid():
            os.fchmod(descriptor, 0o666)
    except OSError as error:
        raise _unusable(path, error) from error
    return descriptor


def _unusable(path: Path, error: OSError) -> MachineError:
    return MachineError(
        f"{path}: the host's lock cannot be opened ({error.strerror}).",
        cure=f"Give its folder to this user, or name one that every agent of this host shares in ${LOCK_VARIABLE}.",
    )


def _holder(descriptor: int) -> str:
    try:
        data = json.loads(os.pread(descriptor, 4096, 0))
        return f"{data['holder']} (process {data['pid']})"
    except (ValueError, KeyError, TypeError):
        return "another agent"
