"""The state of a store as `status` tells it: who writes to it, and how far each study is."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime

from coordinator.events.live_file import MachineActivity, read_live
from joulefleet.query import Store
from joulefleet.query.progress import StudyProgress, progress
from joulefleet.store.layout import StoreLayout


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCoordinator:
    """The coordinator that holds a store's lock. None: the lock does not say."""

    host: str | None
    pid: int | None
    epoch: int | None
    study: str | None
    since: str | None
    """When it began, ISO 8601."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreState:
    """A store at one moment."""

    store: str
    coordinator: StoreCoordinator | None
    """None where nobody writes."""
    studies: tuple[StudyProgress, ...]
    now: tuple[MachineActivity, ...] = ()
    """What each machine is about, while there is a coordinator."""

    @property
    def expected_end(self) -> datetime | None:
        """When the slowest machine is done, as its pilots said; None where nothing says."""
        ends = [now.since + now.left_s for now in self.now if now.left_s is not None]
        return datetime.fromtimestamp(max(ends), tz=UTC) if ends else None

    @property
    def not_expected(self) -> tuple[str, ...]:
        """Machines that lack trials of the running study, and do not say when they have them: gone, or not begun."""
        running = None if self.coordinator is None else self.coordinator.study
        lack = {
            machine.name
            for study in self.studies
            if study.study == running
            for machine in study.machines
            if machine.missing
        }
        return tuple(sorted(now.name for now in self.now if now.left_s is None and now.name in lack))

    @property
    def finished(self) -> bool:
        """Whether no study lacks a trial. What another tool never did, nobody does now."""
        return all(study.finished or study.imported_from is not None for study in self.studies)


def store_state(layout: StoreLayout) -> StoreState:
    """The state of the store at `layout`. Raises StoreError."""
    with Store.open(layout.root) as store:
        held = coordinator_of(layout)
        now = () if held is None else read_live(layout.live_file)
        return StoreState(store=str(layout.root), coordinator=held, studies=progress(store), now=now)


def published_state(uri: str) -> StoreState:
    """The state of the store that is published at `uri`. Raises StoreError."""
    with Store.open(uri) as store:
        return StoreState(store=uri, coordinator=None, studies=progress(store))


def newest_change_ns(layout: StoreLayout) -> tuple[int, ...]:
    """Changes whenever an attempt or a study arrives; costs a few microseconds, so it may be asked often."""
    watched = (layout.attempts, layout.studies, layout.live_file)
    return tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in watched)


def coordinator_of(layout: StoreLayout) -> StoreCoordinator | None:
    """Who holds the lock of the store. A lock file that nobody holds is left over and means nothing."""
    try:
        descriptor = os.open(layout.lock_file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # Shared: two who ask at once do not take each other for a coordinator.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _said(os.pread(descriptor, 4096, 0))
    except OSError:
        # A file system without locks, where no coordinator can hold one.
        return None
    else:
        return None
    finally:
        os.close(descriptor)


def _said(text: bytes) -> StoreCoordinator:
    try:
        data = json.loads(text)
        return StoreCoordinator(
            host=str(data["host"]),
            pid=int(data["pid"]),
            epoch=int(data["epoch"]),
            study=str(data["study"]),
            since=str(data["since"]),
        )
    except (ValueError, KeyError, TypeError):
        return StoreCoordinator(host=None, pid=None, epoch=None, study=None, since=None)
