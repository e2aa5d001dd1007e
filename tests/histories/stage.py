"""A history of a fleet, and what plays it: the real coordinator with simulated hosts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from coordinator.campaign.campaign import Campaign, CampaignResult
from coordinator.cluster.interface import Command
from coordinator.store.port import CampaignStore
from coordinator.store.writer import open_store
from joulefleet.errors import JoulefleetError
from joulefleet.plan.design import Design
from joulefleet.plan.expand import Pinned
from joulefleet.plan.trial import Trial
from tests.support.agent_disk import AgentDisk, FileDisk, MemoryDisk
from tests.support.child_processes import Process
from tests.support.fleet_faults import Fault, FaultPlan
from tests.support.scheduled_machines import MORE_PAIR, NEW_MODEL
from tests.support.simulated_cluster import DangerousStore, Disk, FleetCluster, MemoryStore
from tests.support.simulated_fleet import CrashError, Host, World
from tests.support.simulated_outcomes import fact_in
from tests.support.studies import changed
from tests.support.tiny_trials import TINY_STUDY, tiny_pinned

MOST_COORDINATORS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A fleet, a study, and the faults that happen to them."""

    machines: int
    any_machine: bool
    pilots: bool
    deadly: int | None
    """The cell whose trials make their machine restart; None where there is none."""
    sick: int | None
    """The cell whose trials always fail; None where there is none."""
    faults: tuple[Fault, ...]


@cache
def study(any_machine: bool, pilots: bool, grown: int) -> Pinned:  # noqa: FBT001 - the key of a cache
    """Return the tiny study: two pairs of two cells in two blocks. It grows by a block, then by a model and a pair."""
    changes: dict[str, Any] = {}
    if pilots:
        changes["measure.window"] = {"at_least_s": 2}
    if grown > 0:
        changes["repetitions"] = 3
    if grown > 1:
        changes |= {"models.new": NEW_MODEL, "pairs.more": MORE_PAIR}
    if any_machine:
        changes["placement"] = "any-machine"
    return tiny_pinned(changed(TINY_STUDY, changes))


@cache
def design_of(any_machine: bool, pilots: bool, grown: int) -> Design:  # noqa: FBT001 - the key of a cache
    """Return the design of that study, for the laws. Coordinators make their own."""
    return Design(study(any_machine, pilots, grown), store_id="store")


class Stage:
    """A history that is being played."""

    def __init__(self, history: History, folder: Path | None = None) -> None:
        self.history = history
        self.folder = folder
        self.disk = Disk()
        self.world = World(untried=self._untried)
        self.store_id = "store"
        if folder is not None:
            with open_store(folder / "store", study="tiny") as writer:
                self.store_id = writer.store_id
        for number in range(history.machines):
            host = Host(f"m{number}", f"host{number}", self._shelf(f"host{number}"))
            self.world.hosts.append(host)
            self.world.join(host)
        self.fate = FaultPlan(self.world, history.faults, shelf=self._shelf)
        names = [str(cell) for cell in self.design.cells]
        self.world.deadly = None if history.deadly is None else names[history.deadly]
        self.world.sick = None if history.sick is None else names[history.sick]
        self.usurped = False
        self._epochs = itertools.count(1)
        self._current: Process | None = None
        self._left_of_turn = 0

    @property
    def pinned(self) -> Pinned:
        """The study at this moment."""
        return study(self.history.any_machine, self.history.pilots, self.fate.grown)

    @property
    def design(self) -> Design:
        """The design of the study at this moment."""
        return design_of(self.history.any_machine, self.history.pilots, self.fate.grown)

    def play(self) -> None:
        """Run coordinators one after the other, or two at once, until no fault is left."""
        for _ in range(MOST_COORDINATORS):
            if not self.fate.left:
                break
            self.fate.stopping = False
            self._play_together()
            self.world.sleep(30.0)

    def run(self) -> CampaignResult | None:
        """Run one coordinator from its beginning to its end; return None where it died or could not go on."""
        try:
            with self._store() as (store, epoch):
                cluster = FleetCluster(self.world, Command(store_id=self.store_id, epoch=epoch))
                try:
                    return campaign(self, cluster, store).run()
                except CrashError:
                    # A coordinator that crashed ends no agent and takes no more answers.
                    cluster.dead = True
                finally:
                    cluster.close()
        except JoulefleetError:
            pass
        return None

    @contextmanager
    def _store(self) -> Iterator[tuple[CampaignStore, int]]:
        def full() -> bool:
            return self.world.now < self.fate.store_full_until_s

        if self.folder is None:
            yield MemoryStore(self.disk, danger=self.world.danger, full=full), next(self._epochs)
            return
        with open_store(self.folder / "store", study="tiny") as writer:
            try:
                yield DangerousStore(writer, self.disk, danger=self.world.danger, full=full), writer.epoch
            finally:
                self.disk.files = {path.stem: path.read_bytes() for path in writer.layout.attempts.glob("*.parquet")}

    def _play_together(self) -> None:
        """Run a coordinator, and another one that takes over while it still lives, in turns of some moments."""
        alive = [Process(self._body)]
        self.world.between = self._between
        while alive:
            for process in list(alive):
                self._current, self._left_of_turn = process, self.fate.usurping
                process.turn()
                if process.ended:
                    alive.remove(process)
            if self.fate.usurping and len(alive) == 1 and not self.usurped:
                self.usurped = True
                alive.append(Process(self._body))
        self.world.between = lambda: None

    def _body(self) -> None:
        self.run()

    def _between(self) -> None:
        if self.fate.usurping and self._current is not None:
            self._left_of_turn -= 1
            if self._left_of_turn < 0:
                self._current.yield_()

    def _shelf(self, name: str) -> AgentDisk:
        return MemoryDisk() if self.folder is None else FileDisk(self.folder / name, self.store_id)

    def _untried(self, trial: Trial) -> frozenset[str]:
        """Return the cells of the block of `trial` that have no row in the store."""
        if trial.attempt == 1:
            return frozenset()
        cells = {str(cell) for cell in self.design.cells}
        facts = [fact_in(data) for data in self.disk.files.values()]
        mine = [fact for fact in facts if (fact.kind, fact.place, fact.block) == ("trial", trial.place, trial.block)]
        return frozenset(cells - {str(fact.cell) for fact in mine})


def campaign(stage: Stage, cluster: FleetCluster, store: CampaignStore) -> Campaign:
    """Return a real campaign in simulated time."""
    world, fate = stage.world, stage.fate
    return Campaign(
        cluster,
        store,
        stage.pinned,
        on_event=lambda event: None,
        should_stop=lambda: fate.stopping,
        clock=lambda: world.now + fate.clock_off_s,
        monotonic=lambda: world.now,
        sleep=world.sleep,
    )
