"""One trial a physical machine: a lock file that every agent on the host knows."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from agent.host.shared_folder import USUAL, VARIABLE
from joulefleet.errors import BusyError, MachineError

_NAME = "joulefleet.lock"


def lock_folders(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """`$JOULEFLEET_HOST_FOLDER`; else /tmp, which every user has, and those of /run/lock and /run/joulefleet that are.

    Those who can write to the one need not be able to write to the other, and containers lock in the last one,
    which root makes for all where it is not there yet.
    """
    named = environ.get(VARIABLE)
    if named:
        return (Path(named),)
    if os.geteuid() == 0 and not USUAL.exists():
        with contextlib.suppress(OSError):
            USUAL.mkdir()
            USUAL.chmod(0o1777)
    everyones, usual = Path("/tmp"), Path("/run/lock")  # noqa: S108  # a lock of the whole host, by design
    usable = os.access(usual, os.W_OK) or (usual / _NAME).exists()
    return (everyones, *([usual] if usable else []), *([USUAL] if USUAL.is_dir() else []))


@contextmanager
def host_lock(folders: Sequence[Path], *, holder: str) -> Iterator[None]:
    """Hold the host's lock in each of `folders`. Raises BusyError at once, with the name of another who holds it."""
    with ExitStack() as held:
        for folder in folders:
            held.enter_context(_held(folder / _NAME, holder))
        yield


@contextmanager
def _held(path: Path, holder: str) -> Iterator[None]:
    descriptor = _open_and_lock(path)
    try:
        # Who it is, for people: on a full disk it is not said.
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
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            said = _holder(descriptor)
            os.close(descriptor)
            if not isinstance(error, BlockingIOError):
                raise _unusable(path, error) from error
            raise BusyError(
                f"this machine is busy: {said} holds {path}.",
                cure="Wait for it to end, or stop it; two trials on one machine would measure each other.",
            ) from error
        if _is_still_there(path, descriptor):
            return descriptor
        # Somebody tidied up the folder between the two: the next agent would lock another file.
        os.close(descriptor)


def _is_still_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


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
        cure=f"Give its folder to this user, or name one that every agent of this host shares in ${VARIABLE}.",
    )


def _holder(descriptor: int) -> str:
    try:
        data = json.loads(os.pread(descriptor, 4096, 0))
        return f"{data['holder']} (process {data['pid']})"
    except (ValueError, KeyError, TypeError):
        return "another agent"
