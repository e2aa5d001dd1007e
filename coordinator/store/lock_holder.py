"""Who holds a store's lock: written into the lock file by the coordinator, and read by everybody else."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

from joulefleet.locks import try_lock
from joulefleet.store.layout import StoreLayout


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCoordinator:
    """The coordinator that holds a store's lock. A field is None where the lock file does not contain it."""

    hostname: str | None = None
    pid: int | None = None
    epoch: int | None = None
    study: str | None = None
    since: str | None = None
    """Time at which it began, ISO 8601."""


def write_holder(descriptor: int, holder: StoreCoordinator) -> None:
    """Write `holder` into the open lock file. Raises OSError."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(asdict(holder)).encode(), 0)


def read_holder(descriptor: int) -> StoreCoordinator:
    """Return the holder in the open lock file; its fields are None where the file is empty or damaged."""
    try:
        data = json.loads(os.pread(descriptor, 4096, 0))
        return StoreCoordinator(
            hostname=str(data["hostname"]),
            pid=int(data["pid"]),
            epoch=int(data["epoch"]),
            study=str(data["study"]),
            since=str(data["since"]),
        )
    except (ValueError, KeyError, TypeError):
        return StoreCoordinator()


def coordinator_of(layout: StoreLayout) -> StoreCoordinator | None:
    """Return the coordinator that holds the store's lock; None where nobody holds it, also where the file exists."""
    try:
        descriptor = os.open(layout.lock_file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # Shared, so that two commands at once do not take each other for a coordinator.
        is_free = try_lock(descriptor, shared=True)
        return None if is_free else read_holder(descriptor)
    except OSError:
        return None  # a file system without locks, where no coordinator can write
    finally:
        os.close(descriptor)
