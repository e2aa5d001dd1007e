"""The scheduler of real runs with a fleet of 1,000 machines, in simulated time.

Ten cells in ten blocks on each machine, after ten pilots. Some trials fail, some run into their
time-out, some lose their agent, and some machines leave for two hours, so that retries, rounds and
quarantine are all at work. A decision is one trial: asking what a machine does next, and noting what
came of it. One coordinator takes the machines in turn, each at the cost measured here, the making of
the trial that is sent included; whatever a machine waits for it counts as idle.

Beside it, as the floor: a loop that hands out the same numbers in order and knows nothing of what
became of them.
"""

from __future__ import annotations

import heapq
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.harness.reporting import Figure, finish
from coordinator.planning.resolve import resolve
from coordinator.scheduling.attempt import AttemptFact
from coordinator.scheduling.scheduler import Assignment, Scheduler
from joulefleet.plan.design import Design
from joulefleet.plan.expand import Pinned, cells
from joulefleet.study.load import study_of
from joulefleet.yamlfile.reader import parse_yaml

SIZES = (10, 100, 1000)
RUNS = 3
TRIAL_S = 10.0
TIMEOUT_S = 60.0
AWAY_S = 2 * 3600.0
BACK_S = 20.0
"""Until a lost agent is there again."""
IDLE_S = 30.0
"""Until a machine that was told to wait asks again."""

FAILS = 0.01
TIMES_OUT = 0.002
IS_LOST = 0.005
LEAVES = 0.0005
"""Of trials; so of a hundred trials on a thousand machines some fifty are cut short by two hours."""

PLANNING_S = 2.0
DECISIONS_A_SECOND = 100_000.0
MEMORY_MB = 400.0
BUSY_PERCENT = 99.0
NEAR_LINEAR = 1.5
"""A decision among 1,000 machines costs at most so many times one among 10."""

STUDY = """
name: fleet-scale
regime: burst
repetitions: 10
models:
  bert: {architecture: {model_type: bert, config: {vocab_size: 30522}}}
  distilbert: {architecture: {model_type: distilbert, config: {vocab_size: 30522}}}
tasks:
  one: {preset: sst2, items: {synthetic: {count: 8}}}
  two: {preset: sst2, items: {synthetic: {count: 16}}}
  three: {preset: mnli, items: {synthetic: {count: 8}}}
  four: {preset: mnli, items: {synthetic: {count: 16}}}
  five: {preset: stsb, items: {synthetic: {count: 8}}}
pairs:
  bert: {teacher: bert, student: distilbert}
"""


@dataclass(slots=True)
class Spent:
    """What the scheduler has cost, and what the machines did meanwhile."""

    planning_s: float = 0.0
    deciding_s: float = 0.0
    making_s: float = 0.0
    decisions: int = 0
    busy_s: float = 0.0
    idle_s: float = 0.0
    ends: Counter[str] = field(default_factory=Counter)

    @property
    def decisions_a_second(self) -> float:
        """Decisions in a second of the coordinator."""
        return self.decisions / self.deciding_s

    @property
    def busy_percent(self) -> float:
        """Of the time that machines were there and not done."""
        return 100 * self.busy_s / (self.busy_s + self.idle_s)


class Simulation:
    """A study on so many machines, from the first pilot to the last trial."""

    def __init__(self, pinned: Pinned, machines: int) -> None:
        self.spent = Spent()
        self._rng = random.Random(machines)
        self._design = Design(pinned, store_id="store")
        # Equal, but not the same: rows are read from files.
        self._cells = tuple(cells(pinned.study))
        self._names = [f"machine-{number:04d}" for number in range(machines)]
        self._speed = {name: self._rng.uniform(0.2, 0.6) for name in self._names}
        begin = time.perf_counter()
        self.scheduler = Scheduler(self._design)
        for name in self._names:
            self.scheduler.join(name, place=name, boot_id="boot")
        self.spent.planning_s = time.perf_counter() - begin

    def run(self) -> None:
        """Let every machine do its part. The coordinator takes one after the other."""
        queue = [(0.0, name, "") for name in self._names]
        heapq.heapify(queue)
        coordinator_s = 0.0
        while queue:
            ready_s, name, what = heapq.heappop(queue)
            begin_s = max(ready_s, coordinator_s)
            cost_s, assignment = self._decide(name, what, begin_s)
            coordinator_s = begin_s + cost_s
            if assignment is None:
                continue
            self.spent.idle_s += coordinator_s - ready_s
            takes_s, end = self._measure()
            self.spent.ends[end or "ok"] += 1
            if end == "leaves":
                self.scheduler.leave(name)
                takes_s += AWAY_S
            elif end == "lost":
                takes_s += BACK_S
            else:
                self.spent.busy_s += takes_s
            heapq.heappush(queue, (coordinator_s + takes_s, name, end or "ok"))

    def _decide(self, name: str, what: str, now_s: float) -> tuple[float, Assignment | None]:
        """Note what came of the machine's trial and give it the next; seconds that the coordinator spent."""
        scheduler = self.scheduler
        done = scheduler.members[name].assignment
        fact = None if done is None or what in {"lost", "leaves"} else self._fact(done, what, now_s)
        begin = time.perf_counter()
        if what == "leaves":
            scheduler.join(name, place=name, boot_id="boot")
        if fact is not None:
            scheduler.ended(fact, machine_id=name)
        elif done is not None:
            scheduler.lost(name)
        found = scheduler.next(name, now_s)
        decided = time.perf_counter()
        self.spent.deciding_s += decided - begin
        if not isinstance(found, Assignment):
            return decided - begin, None
        scheduler.trial(found)
        made = time.perf_counter()
        self.spent.making_s += made - decided
        self.spent.decisions += 1
        return made - begin, found

    def _measure(self) -> tuple[float, str]:
        drawn = self._rng.random()
        for share, seconds, end in (
            (FAILS, TRIAL_S, "exception"),
            (TIMES_OUT, TIMEOUT_S, "timeout"),
            (IS_LOST, TRIAL_S, "lost"),
            (LEAVES, TRIAL_S, "leaves"),
        ):
            if drawn < share:
                return seconds, end
            drawn -= share
        return TRIAL_S, ""

    def _fact(self, done: Assignment, what: str, now_s: float) -> AttemptFact:
        place = self.scheduler.places[done.place]
        pilot = done.kind == "pilot"
        passes = 1 if pilot or place.passes is None else place.passes[done.cell]
        ok = what == "ok"
        return AttemptFact(
            trial_id="",
            attempt_id=f"{done.place}-{done.cell}-{done.block}-r{done.round}-a{done.attempt}",
            place=done.place,
            machine_id=done.machine_id,
            boot_id="boot",
            kind=done.kind,
            block=done.block,
            round=done.round,
            attempt=done.attempt,
            cell=self._cells[done.cell],
            protocol=self._design.pilot_digest(done.cell) if pilot else place.digest(done.cell),
            status="ok" if ok else "failed",
            reason=None if ok else what,
            window_s=self._speed[done.place] * (1 + done.cell / 10) * passes if ok else None,
            passes=passes,
            wall_s=TRIAL_S,
            ended_s=now_s,
        )


def simulated(pinned: Pinned, machines: int) -> Spent:
    """A whole study."""
    simulation = Simulation(pinned, machines)
    simulation.run()
    assert simulation.scheduler.finished(), "the study did not end"
    return simulation.spent


def floor(machines: int, trials: int) -> float:
    """Decisions a second of a loop that hands out numbers in order, and has no idea what became of them."""
    next_of = [0] * machines
    queue = [(0.0, machine) for machine in range(machines)]
    begin = time.perf_counter()
    while queue:
        now_s, machine = heapq.heappop(queue)
        if next_of[machine] < trials:
            next_of[machine] += 1
            heapq.heappush(queue, (now_s + TRIAL_S, machine))
    return machines * trials / (time.perf_counter() - begin)


def main() -> int:
    """Ten machines, a hundred, a thousand."""
    with tempfile.TemporaryDirectory() as folder:
        pinned = resolve(study_of(parse_yaml(STUDY, name="fleet-scale"), name="fleet-scale"), Path(folder))
    spent: dict[int, Spent] = {}
    for machines in SIZES:
        # The fastest of some: others on the machine can only slow it down.
        spent[machines] = found = min((simulated(pinned, machines) for _ in range(RUNS)), key=lambda s: s.deciding_s)
        print(
            f"{machines:5} machines: planned in {found.planning_s:.3f} s; {found.decisions} decisions at "
            f"{1e6 * found.deciding_s / found.decisions:.2f} µs ({found.decisions_a_second:,.0f} a second), "
            f"{1e6 * found.making_s / found.decisions:.1f} µs more to make a trial; "
            f"busy {found.busy_percent:.3f} %; ends: {dict(found.ends)}",
            file=sys.stderr,
        )
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    few, many = spent[SIZES[0]], spent[SIZES[-1]]
    peers = {"heapq loop without any state": floor(SIZES[-1], 110)}
    return finish(
        [
            Figure(benchmark="fleet_planning", value=many.planning_s, unit="s", bound=PLANNING_S),
            Figure(
                benchmark="fleet_decisions",
                value=many.decisions_a_second,
                unit="a second",
                bound=DECISIONS_A_SECOND,
                at_most=False,
                peers=peers,
            ),
            Figure(
                benchmark="fleet_growth",
                value=few.decisions_a_second / many.decisions_a_second,
                unit="times the cost with 10 machines",
                bound=NEAR_LINEAR,
            ),
            Figure(benchmark="fleet_memory", value=memory_mb, unit="MB", bound=MEMORY_MB),
            Figure(benchmark="fleet_busy", value=many.busy_percent, unit="%", bound=BUSY_PERCENT, at_most=False),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
