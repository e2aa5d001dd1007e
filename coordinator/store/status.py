"""The state of a store for `joulefleet status`: who writes to it, and how far each study is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from coordinator.events.live_file import MachineActivity, read_live
from coordinator.store.lock_holder import StoreCoordinator, coordinator_of
from joulefleet.query import Store
from joulefleet.query.progress import StudyProgress, progress
from joulefleet.store.layout import StoreLayout


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreState:
    """The state of a store at one moment."""

    store: str
    """Path or address of the store."""
    coordinator: StoreCoordinator | None
    """None where no coordinator writes to the store."""
    studies: tuple[StudyProgress, ...]
    now: tuple[MachineActivity, ...] = ()
    """What each machine is doing, while there is a coordinator."""

    @property
    def expected_end(self) -> datetime | None:
        """Time at which the slowest machine will be done, estimated from its pilots; None where it is unknown."""
        ends = [now.since + now.left_s for now in self.now if now.left_s is not None]
        return datetime.fromtimestamp(max(ends), tz=UTC) if ends else None

    @property
    def not_expected(self) -> tuple[str, ...]:
        """Machines that lack trials of the running study and have no expected end: gone, or not started."""
        running = None if self.coordinator is None else self.coordinator.study
        incomplete = {
            machine.name
            for study in self.studies
            if study.study == running
            for machine in study.machines
            if machine.missing
        }
        return tuple(sorted(now.name for now in self.now if now.left_s is None and now.name in incomplete))

    @property
    def finished(self) -> bool:
        """Whether no study lacks a trial. Runs that an imported study lacks do not count: nobody will do them."""
        return all(study.finished or study.imported_from is not None for study in self.studies)


def store_state(layout: StoreLayout) -> StoreState:
    """Read the state of the store at `layout`. Raises StoreError."""
    with Store.open(layout.root) as store:
        coordinator = coordinator_of(layout)
        now = () if coordinator is None else read_live(layout.live_file)
        return StoreState(store=str(layout.root), coordinator=coordinator, studies=progress(store), now=now)


def published_state(uri: str) -> StoreState:
    """Read the state of the store that is published at `uri`. Raises StoreError."""
    with Store.open(uri) as store:
        return StoreState(store=uri, coordinator=None, studies=progress(store))


def newest_change_ns(layout: StoreLayout) -> tuple[int, ...]:
    """Return times, in ns, that change when an attempt, a study or the live file changes. Takes microseconds."""
    watched = (layout.attempts, layout.studies, layout.live_file)
    return tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in watched)
