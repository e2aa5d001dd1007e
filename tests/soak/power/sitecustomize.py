"""Keeps, beside the folders of a machine, what would be on its disk after a loss of power: only what was synced.

Python imports this at its start where its folder is on the path. `SOAK_WATCHED` names the folders (with `:` between),
`SOAK_SHADOW` where their image is kept, `SOAK_SEEN` where copies of the rows go that became durable in an outbox.
Whoever is killed before a sync has returned has promised nothing: the image is brought up to date just before that.
"""

from __future__ import annotations

import os
from typing import Any

FS_IOC_GETVERSION = 0x80087601

_real = os.fsync


def _fsync(fd: Any) -> None:
    descriptor = fd if isinstance(fd, int) else fd.fileno()
    _real(descriptor)
    path = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - every Python process starts with this: no pathlib
    if any(path == folder or path.startswith(folder + "/") for folder in _WATCHED):
        _keep(descriptor, path)


def _keep(descriptor: int, path: str) -> None:
    import fcntl
    import stat

    lock = os.open(f"{_SHADOW}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        # What is looked at last must be written last.
        fcntl.flock(lock, fcntl.LOCK_EX)
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            _keep_names(path)
        elif not path.endswith(" (deleted)"):
            with open(path, "rb") as source:  # noqa: PTH123 - as above
                _write(f"{_SHADOW}/data/{status.st_ino}-{_generation(descriptor)}", source.read())
    finally:
        os.close(lock)


def _generation(descriptor: int) -> int:
    """Return a number that differs between successive files of one inode number; 0 if the file system has none."""
    import fcntl
    import struct

    try:
        found: int = struct.unpack("q", fcntl.ioctl(descriptor, FS_IOC_GETVERSION, bytes(8)))[0]
    except OSError:
        return 0
    return found


def _keep_names(folder: str) -> None:
    import json
    from hashlib import sha256

    with os.scandir(folder) as entries:
        inodes = {entry.name: entry.inode() for entry in entries if entry.is_file(follow_symlinks=False)}
    kept = f"{_SHADOW}/names/{sha256(folder.encode()).hexdigest()[:20]}.json"
    try:
        with open(kept, "rb") as file:  # noqa: PTH123 - as above
            before = json.load(file)
    except FileNotFoundError:
        before = {}
    names = {}
    for name, inode in inodes.items():
        same = before.get(name, "").startswith(f"{inode}-")
        found = before[name] if same else _image(f"{folder}/{name}", inode)
        if found is not None:
            names[name] = found
    _write(kept, json.dumps(names).encode())
    parts = folder.rsplit("/", 2)
    if parts[-2] == "outbox":
        for name in names.keys() - before.keys():
            if name.endswith(".parquet"):
                _say_durable(parts[-1], name, names[name])


def _image(path: str, inode: int) -> str | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return f"{inode}-{_generation(descriptor)}"
    finally:
        os.close(descriptor)


def _say_durable(store_id: str, name: str, image: str) -> None:
    import contextlib
    import json
    import time

    with contextlib.suppress(FileExistsError, FileNotFoundError):
        os.link(f"{_SHADOW}/data/{image}", f"{_SEEN}/{name}")
    line = {
        "at": time.time(),
        "machine": os.environ["SOAK_MACHINE"],
        "store_id": store_id,
        "attempt_id": name.removesuffix(".parquet"),
    }
    log = os.open(f"{_SEEN}/durable.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        os.write(log, json.dumps(line).encode() + b"\n")
    finally:
        os.close(log)


def _write(path: str, data: bytes) -> None:
    temporary = f"{path}.{os.getpid()}.tmp"
    with open(temporary, "wb") as file:  # noqa: PTH123 - as above
        file.write(data)
    os.rename(temporary, path)  # noqa: PTH104 - as above


_WATCHED = [folder for folder in os.environ.get("SOAK_WATCHED", "").split(os.pathsep) if folder]
_SHADOW = os.environ.get("SOAK_SHADOW", "")
_SEEN = os.environ.get("SOAK_SEEN", "")
if _WATCHED and _SHADOW:
    os.fsync = _fsync
