"""The lock of the physical machine, and the folder that all agents and runners of one host share.

Two trials on one machine would measure each other, so an agent holds the lock while it measures. The
shared folder also has the runners' sockets. A container sees it only where it is mounted.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from joulefleet.errors import BusyError, MachineError
from joulefleet.locks import is_at, try_lock

HOST_FOLDER = Path("/run/joulefleet")
"""Default path of the shared folder, on the host and inside containers."""

HOST_FOLDER_VARIABLE = "JOULEFLEET_HOST_FOLDER"
"""Environment variable that names another shared folder."""

_NAME = "joulefleet.lock"


def host_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder that all agents and runners of this host share."""
    return Path(environ.get(HOST_FOLDER_VARIABLE) or HOST_FOLDER)


def lock_folders(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Return the folders whose lock an agent must hold: all that an agent of another user or container may use.

    `$JOULEFLEET_HOST_FOLDER` alone where it is set. Else /tmp, which every user can write; /run/lock
    where it can be used; and /run/joulefleet, which containers share, where it exists. Root creates
    the last one for all users.
    """
    if environ.get(HOST_FOLDER_VARIABLE):
        return (host_folder(environ),)
    if os.geteuid() == 0 and not HOST_FOLDER.exists():
        with contextlib.suppress(OSError):
            HOST_FOLDER.mkdir()
            HOST_FOLDER.chmod(0o1777)
    temporary, run_lock = Path("/tmp"), Path("/run/lock")  # noqa: S108 - every user of the host must find this lock
    usable = os.access(run_lock, os.W_OK) or (run_lock / _NAME).exists()
    return (temporary, *([run_lock] if usable else []), *([HOST_FOLDER] if HOST_FOLDER.is_dir() else []))


@contextmanager
def host_lock(folders: Sequence[Path], *, holder: str) -> Iterator[None]:
    """Hold the host's lock in each of `folders` inside the `with` block.

    It does not wait: it raises BusyError, with the other's `holder`, where another agent has the lock,
    and MachineError where a lock file cannot be opened. The kernel frees the locks of a process that
    dies; processes forked inside the block keep them until they end.
    """
    with ExitStack() as locks:
        for folder in folders:
            locks.enter_context(_file_lock(folder / _NAME, holder))
        yield


@contextmanager
def _file_lock(path: Path, holder: str) -> Iterator[None]:
    descriptor = _open_and_lock(path)
    try:
        # The holder's name is only for messages, so a full disk does not matter.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "holder": holder}).encode(), 0)
        yield
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _open_and_lock(path: Path) -> int:
    while True:
        descriptor = -1
        try:
            descriptor = _open(path)
            locked = try_lock(descriptor)
        except OSError as error:
            if descriptor != -1:
                os.close(descriptor)
            raise MachineError(
                f"{path}: the host's lock cannot be opened ({error.strerror}).",
                cure="Give its folder to this user, or name one that every agent of this host shares in "
                f"${HOST_FOLDER_VARIABLE}.",
            ) from error
        if not locked:
            other = _holder(descriptor)
            os.close(descriptor)
            raise BusyError(
                f"this machine is busy: {other} holds {path}.",
                cure="Wait for it to end, or stop it; two trials on one machine would measure each other.",
            )
        if is_at(path, descriptor):
            return descriptor
        # The file was removed after it was opened: the next agent would lock a new one.
        os.close(descriptor)


def _open(path: Path) -> int:
    # Without O_CREAT first: in a sticky folder the kernel refuses it for another user's file.
    with contextlib.suppress(FileNotFoundError):
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    if os.fstat(descriptor).st_uid == os.geteuid():
        os.fchmod(descriptor, 0o666)
    return descriptor


def _holder(descriptor: int) -> str:
    try:
        data = json.loads(os.pread(descriptor, 4096, 0))
        return f"{data['holder']} (process {data['pid']})"
    except (ValueError, KeyError, TypeError):
        return "another agent"
