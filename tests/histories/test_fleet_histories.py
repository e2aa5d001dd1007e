"""Whatever befalls a fleet: nothing finished is lost, nothing finished is run again, and the study ends.

Random histories of crashes, losses, full disks, restarts and clocks that jump, each followed by a run
in which all is well. Coordinator and scheduler are the real ones; time, agents and disks are simulated.
`JOULEFLEET_HISTORIES` says how many histories.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import joulefleet
from coordinator.campaign import Campaign, Ended
from coordinator.cluster.interface import Command
from coordinator.scheduling.block import COHERENT_S
from coordinator.scheduling.design import Design
from coordinator.scheduling.facts import AGENT_LOST, AttemptFact
from coordinator.scheduling.scheduler import LOSSES_OF_A_TRIAL
from coordinator.store import Store
from coordinator.store_writer import open_store
from joulefleet.errors import JoulefleetError
from joulefleet.plan import Pinned
from joulefleet.trial import Trial
from tests.fakes.fate import AWAY_S, KINDS, Fate, Fault
from tests.fakes.fleet import CrashError, Host, World
from tests.fakes.fleet_cluster import DangerousStore, Disk, FleetCluster, MemoryStore, fact_in
from tests.fakes.processes import Process
from tests.fakes.shelf import DiskShelf, MemoryShelf
from tests.fakes.trials import TINY_STUDY, tiny_pinned

HISTORIES = int(os.environ.get("JOULEFLEET_HISTORIES", "100"))
ON_DISK = max(3, HISTORIES // 100)
FEW = "JOULEFLEET_HISTORIES" not in os.environ
"""The same few histories every time; new ones where one asks for more of them."""
MOST_COORDINATORS = 40
SLACK_S = 300.0

NEW_MODEL = """  new:
    architecture:
      model_type: distilbert
      config: {vocab_size: 2000, dim: 16, n_layers: 1, n_heads: 2, hidden_dim: 64}
tasks:"""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A fleet, a study, and what befalls them."""

    machines: int
    any_machine: bool
    pilots: bool
    deadly: int | None
    """The cell whose trials bring their machine down."""
    sick: int | None
    """The cell whose trials always fail."""
    faults: tuple[Fault, ...]


HISTORY = st.builds(
    History,
    machines=st.integers(1, 3),
    any_machine=st.booleans(),
    pilots=st.booleans(),
    deadly=st.sampled_from([None, None, None, None, 0, 3]),
    sick=st.sampled_from([None, None, None, 1, 2]),
    faults=st.lists(
        st.builds(
            Fault,
            after=st.integers(0, 60),
            kind=st.sampled_from(KINDS),
            machine=st.integers(0, 2),
            amount=st.integers(0, 4),
        ),
        max_size=14,
    ).map(tuple),
)


@cache
def study(any_machine: bool, pilots: bool, grown: int) -> Pinned:  # noqa: FBT001 - the key of a cache
    """The tiny study: two pairs of two cells in two blocks; grown by a block, then by a model beside a pair."""
    text = TINY_STUDY
    if pilots:
        text = text.replace("window: {passes: 3}", "window: {at_least_s: 2}")
    if grown > 0:
        text = text.replace("repetitions: 2", "repetitions: 3")
    if grown > 1:
        text = text.replace("tasks:", NEW_MODEL).replace("pairs:", "pairs:\n  more: {teacher: big, student: new}")
    return tiny_pinned(text + ("placement: any-machine\n" if any_machine else ""))


class Stage:
    """A history as it is played."""

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
            shelf = MemoryShelf() if folder is None else DiskShelf(folder / f"m{number}", self.store_id)
            host = Host(f"m{number}", f"host{number}", shelf)
            self.world.hosts.append(host)
            self.world.join(host)
        self.fate = Fate(self.world, history.faults)
        names = [str(cell) for cell in Design(self.pinned, store_id="").cells]
        self.world.deadly = None if history.deadly is None else names[history.deadly]
        self.world.sick = None if history.sick is None else names[history.sick]
        self.usurped = False
        self._epochs = itertools.count(1)
        self._current: Process | None = None
        self._left_of_turn = 0

    @property
    def pinned(self) -> Pinned:
        """The study as it is now."""
        return study(self.history.any_machine, self.history.pilots, self.fate.grown)

    def play(self) -> None:
        """Coordinators one after the other, or two at once, until nothing more befalls them."""
        for _ in range(MOST_COORDINATORS):
            if not self.fate.left:
                break
            self.fate.stopping = False
            self._play_together()
            self.world.sleep(30.0)

    def run(self) -> Ended | None:
        """One coordinator from its beginning to its end; None where it died or could not go on."""
        try:
            with self._store() as (store, epoch):
                cluster = FleetCluster(self.world, Command(store_id=self.store_id, epoch=epoch))
                try:
                    return campaign(self, cluster, store).run()
                except CrashError:
                    # It ends no agent, and hears nothing more.
                    cluster.dead = True
                finally:
                    cluster.close()
        except JoulefleetError:
            pass
        return None

    @contextmanager
    def _store(self) -> Iterator[tuple[Store, int]]:
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
        """A coordinator, and another one that takes over while it still lives, in turns of some moments."""
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

    def _untried(self, trial: Trial) -> frozenset[str]:
        """The cells of the block of `trial` that have no row in the store."""
        if trial.attempt == 1:
            return frozenset()
        cells = {str(cell) for cell in Design(self.pinned, store_id="").cells}
        facts = [fact_in(data) for data in self.disk.files.values()]
        mine = [fact for fact in facts if (fact.kind, fact.place, fact.block) == ("trial", trial.place, trial.block)]
        return frozenset(cells - {str(fact.cell) for fact in mine})


def campaign(stage: Stage, cluster: FleetCluster, store: Store) -> Campaign:
    """A real one, in simulated time."""
    world, fate = stage.world, stage.fate
    return Campaign(
        cluster,
        store,
        stage.pinned,
        tell=lambda event: None,
        stop=lambda: fate.stopping,
        clock=lambda: world.now + fate.clock_off_s,
        monotonic=lambda: world.now,
        sleep=world.sleep,
    )


# the laws


def check(stage: Stage) -> None:
    """Let all be well, run to the end, and look."""
    world, fate = stage.world, stage.fate
    if any(not host.here and not host.gone for host in world.hosts):
        # They come back by themselves, some after hours.
        world.sleep(max(AWAY_S))
    fate.heal()
    world.sleep(60.0)
    design, ended = Design(stage.pinned, store_id="store"), None
    # A trial that brings its machine down has that set aside for the rest of a run, when it does so often enough.
    for _ in range(1 if world.deadly is None else 1 + 2 * design.repetitions):
        ended = stage.run()
        if ended is not None and ended.missing == 0:
            break
    assert ended is not None, "a run in which all is well could not go on"
    assert ended.missing == 0, f"{ended} when all is well"
    begun = len(world.starts)
    assert stage.run() == ended
    assert len(world.starts) == begun, "a study that is done was run again"
    facts = [fact_in(data) for data in stage.disk.files.values()]
    chosen = accepted(design, facts)
    nothing_finished_is_lost(stage)
    every_planned_trial_has_one_accepted_row(stage, ended, design, chosen)
    compared_rows_lie_in_one_round_of_one_machine(design, chosen)
    a_round_lies_in_one_boot_and_has_no_long_gap(stage, design, facts)
    no_trial_is_given_up_without_a_cause(stage, facts)
    within_a_block_the_order_is_the_plans(stage)
    no_more_was_run_than_what_happened_explains(stage)


def accepted(design: Design, facts: Sequence[AttemptFact]) -> dict[str, AttemptFact]:
    """The accepted attempt of each trial, by the words of the rule and not by its SQL."""
    trials: dict[str, list[AttemptFact]] = {}
    for fact in facts:
        if fact.kind == "trial":
            trials.setdefault(fact.trial_id, []).append(fact)
    # Attempts by one protocol are of one group, and those of a group have one digest of companions.
    group_of = {cell: number for number, group in enumerate(design.groups) for cell in group}
    chosen = {}
    for trial_id, attempts in trials.items():
        number = design.number.get(attempts[0].cell)
        if number is None or design.digest(number, attempts[0].passes) != attempts[0].protocol:
            continue
        group = design.groups[group_of[number]]
        beside: dict[tuple[int, str], set[str]] = {}
        for other in facts:
            cell = design.number.get(other.cell)
            if (
                cell in group
                and (other.kind, other.place, other.block) == ("trial", attempts[0].place, attempts[0].block)
                and other.protocol == design.digest(cell, other.passes)
            ):
                beside.setdefault((other.round, other.machine_id), set()).add(other.trial_id)
        whole = [fact for fact in attempts if len(beside[fact.round, fact.machine_id]) >= len(group)]
        newest = max(fact.round for fact in whole or attempts)
        best = [fact for fact in whole or attempts if fact.round == newest]
        chosen[trial_id] = min(best, key=lambda fact: (not fact.ok, fact.attempt, fact.attempt_id))
    return chosen


def nothing_finished_is_lost(stage: Stage) -> None:
    """What was durable on a disk is in the store, or still on the disk of a host that is not there."""
    by_id: dict[str, set[bytes]] = {}
    for host in stage.world.hosts:
        for attempt_id, data in host.durable.items():
            if host.here:
                assert attempt_id in stage.disk.files, f"{attempt_id} was finished and is lost"
            else:
                assert attempt_id in stage.disk.files or attempt_id in host.shelf.waiting(), f"{attempt_id} is lost"
            by_id.setdefault(attempt_id, set()).add(data)
    for attempt_id, data in stage.disk.files.items():
        if attempt_id in by_id and "twin" not in stage.world.happened:
            assert data in by_id[attempt_id], f"the row of {attempt_id} is not the one that was measured"


def every_planned_trial_has_one_accepted_row(
    stage: Stage, ended: Ended, design: Design, chosen: dict[str, AttemptFact]
) -> None:
    """And the coordinator counts as the analysis does."""
    here = {host.machine_id for host in stage.world.hosts if host.here}
    found: Counter[tuple[str, int, int]] = Counter()
    outcomes: Counter[bool] = Counter()
    places = set()
    for fact in chosen.values():
        if fact.block > design.repetitions or not (stage.history.any_machine or fact.place in here):
            continue
        places.add(fact.place)
        found[fact.place, fact.block, design.number[fact.cell]] += 1
        outcomes[fact.ok] += 1
    expected = len(places) * design.repetitions * len(design.cells)
    assert len(places) == (1 if stage.history.any_machine else len(here))
    assert len(found) == expected == ended.total
    assert set(found.values()) == {1}, "a trial is counted twice"
    assert (ended.ok, ended.failed) == (outcomes[True], outcomes[False])


def compared_rows_lie_in_one_round_of_one_machine(design: Design, chosen: dict[str, AttemptFact]) -> None:
    """Else a comparison would compare two days, or two machines."""
    group_of = {cell: number for number, group in enumerate(design.groups) for cell in group}
    where: dict[tuple[str, int, int], set[tuple[int, str]]] = {}
    for fact in chosen.values():
        if fact.block <= design.repetitions:
            group = group_of[design.number[fact.cell]]
            where.setdefault((fact.place, fact.block, group), set()).add((fact.round, fact.machine_id))
    for at, rounds in where.items():
        assert len(rounds) == 1, f"place, block and group {at} are compared over {sorted(rounds)}"


def a_round_lies_in_one_boot_and_has_no_long_gap(stage: Stage, design: Design, facts: Sequence[AttemptFact]) -> None:
    """By true time, and where no clock was set: else nobody could tell how long a block had rested."""
    ended_s: dict[str, float] = {}
    for host in stage.world.hosts:
        ended_s |= host.ended_s
    rounds: dict[tuple[str, str, int, int], list[AttemptFact]] = {}
    for fact in facts:
        number = design.number.get(fact.cell)
        if (
            fact.kind == "trial"
            and fact.attempt_id in ended_s
            and number is not None
            and fact.protocol == design.digest(number, fact.passes)
        ):
            rounds.setdefault((fact.place, fact.machine_id, fact.block, fact.round), []).append(fact)
    told = {"coordinator's clock", "agent's clock", "twin"}.isdisjoint(stage.world.happened)
    for at, mine in rounds.items():
        if told:
            times = sorted(ended_s[fact.attempt_id] for fact in mine)
            longest = max((after - before for before, after in itertools.pairwise(times)), default=0.0)
            assert longest < COHERENT_S + SLACK_S, f"round {at} rested for {longest / 3600:.1f} h"
        if "twin" not in stage.world.happened:
            assert len({fact.boot_id for fact in mine}) == 1, f"round {at} goes over a restart"


def no_trial_is_given_up_without_a_cause(stage: Stage, facts: Sequence[AttemptFact]) -> None:
    """Three losses of an agent for each that was lost for good."""
    lost = sum(fact.reason == AGENT_LOST for fact in facts)
    if stage.world.deadly is None:
        assert LOSSES_OF_A_TRIAL * lost <= stage.world.happened.total(), f"{lost} trials lost for good"


def within_a_block_the_order_is_the_plans(stage: Stage) -> None:
    """A cell waits only where it would have followed itself, and a retry until all others were tried."""
    first: dict[tuple[int, str, int, int], list[Trial]] = {}
    for start in stage.world.starts:
        trial = start.trial
        if trial.kind != "trial":
            continue
        if trial.attempt == 1:
            mine = first.setdefault((start.epoch, start.machine_id, trial.block, trial.round), [])
            if all(trial.cell != other.cell for other in mine):
                mine.append(trial)
        elif not stage.history.any_machine and "grow" not in stage.world.happened:
            assert start.untried <= {trial.predecessor}, f"a retry before {sorted(start.untried)} were tried"
    for trials in first.values():
        for before, after in itertools.combinations(trials, 2):
            waited = before.predecessor == str(after.cell)
            assert before.position < after.position or waited, f"{after.cell} came after {before.cell}"


def no_more_was_run_than_what_happened_explains(stage: Stage) -> None:
    """Each fault costs at most the open block of each machine, once."""
    design = Design(stage.pinned, store_id="store")
    machines, cells = stage.history.machines, len(design.cells)
    planned = machines * (design.repetitions + 2) * cells
    deadly = 0 if stage.world.deadly is None else 3 * machines * (design.repetitions + 1) * cells
    sick = 0 if stage.world.sick is None else machines * (design.repetitions + 1)
    # Growing by a model measures its pairs again.
    again = stage.world.happened["grow"] * planned
    most = planned + deadly + sick + again + 2 * machines * cells * stage.world.happened.total()
    assert len(stage.world.starts) <= most, f"{len(stage.world.starts)} starts, where {most} would be many"


PLAYED: Counter[str] = Counter()


def played(history: History, folder: Path | None = None) -> Stage:
    """One history, and its laws."""
    stage = Stage(history, folder)
    stage.play()
    check(stage)
    PLAYED.update(stage.world.happened)
    PLAYED["histories"] += 1
    PLAYED["trials started"] += len(stage.world.starts)
    return stage


@settings(
    max_examples=HISTORIES, derandomize=FEW, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(HISTORY)
def play(history: History) -> None:
    """One history."""
    played(history)


@settings(
    max_examples=ON_DISK, derandomize=FEW, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(HISTORY)
def play_on_disk(history: History) -> None:
    """One history with the real store, outboxes and epochs; the views accept what the rule says."""
    with tempfile.TemporaryDirectory() as folder:
        stage = played(history, Path(folder))
        design = Design(stage.pinned, store_id=stage.store_id)
        chosen = accepted(design, [fact_in(data) for data in stage.disk.files.values()])
        with joulefleet.open(Path(folder) / "store") as store:
            rows = store.arrow("select trial_id, attempt_id from trials").to_pylist()
    by_view = {row["trial_id"]: row["attempt_id"] for row in rows}
    assert {trial: by_view.get(trial) for trial in chosen} == {trial: fact.attempt_id for trial, fact in chosen.items()}


@pytest.mark.timeout(300 + 3 * HISTORIES)
def test_whatever_befalls_a_fleet_its_study_ends_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """The laws hold after every history; some of them are played on real disks."""
    play()
    play_on_disk()
    with capsys.disabled():
        histories, trials = PLAYED.pop("histories"), PLAYED.pop("trials started")
        sys.stdout.write(f"\n{histories} histories, {trials} trials started, {PLAYED.total()} faults: ")
        sys.stdout.write(", ".join(f"{count} × {kind}" for kind, count in PLAYED.most_common()) + "\n")
