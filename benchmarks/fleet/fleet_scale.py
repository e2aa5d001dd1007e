"""The product's scheduler with a fleet of 1,000 machines, in simulated time.

Each machine runs ten cells in ten blocks, after ten pilots. Some trials fail, some reach their time-out,
some lose their agent, and some machines leave for two hours, so that retries, rounds and quarantine all
take part. One decision belongs to one trial: the scheduler names a machine's next trial and notes how it
ended. One coordinator serves the machines in turn, at the cost measured here, which includes making the
trial that is sent; the time that a machine waits for the coordinator counts as idle.

The peer is a loop with a heap that hands out as many trials in order and keeps no state about them.
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

from benchmarks.harness.figures import Figure, ratio
from benchmarks.harness.program import BenchmarkRun, run_program
from benchmarks.harness.studies import BERT_BASE, DISTILBERT_BASE, pinned_study
from coordinator.scheduling.attempt import AttemptFact
from coordinator.scheduling.scheduler import Assignment, Scheduler
from joulefleet.plan.design import Design
from joulefleet.plan.expand import Pinned, cells

SIZES = (10, 100, 1000)
RUNS = 3
TRIALS = 110
"""Trials of a machine, its pilots included."""
TRIAL_S = 10.0
TIMEOUT_S = 60.0
AWAY_S = 2 * 3600.0
BACK_S = 20.0
"""Time until a lost agent is back, seconds."""

FAILS = 0.01
TIMES_OUT = 0.002
IS_LOST = 0.005
LEAVES = 0.0005
"""Share of trials whose machine leaves: some fifty of the hundred thousand."""

PEER = "heapq loop without any state"
PLANNING_TIMES = 1.0
"""Planning for all machines, in multiples of the whole peer loop."""
DECISION_TIMES = 10.0
"""One decision, in multiples of a turn of the peer loop: 10 µs where a turn takes 1 µs."""
MEMORY_MB = 400.0
BUSY_PERCENT = 99.0
NEAR_LINEAR = 1.5
"""Cost of a decision among 1,000 machines, in multiples of one among 10."""

STUDY = f"""
name: fleet-scale
regime: burst
repetitions: 10
models:
  bert: {BERT_BASE}
  distilbert: {DISTILBERT_BASE}
tasks:
  one: {{preset: sst2, items: {{synthetic: {{count: 8}}}}}}
  two: {{preset: sst2, items: {{synthetic: {{count: 16}}}}}}
  three: {{preset: mnli, items: {{synthetic: {{count: 8}}}}}}
  four: {{preset: mnli, items: {{synthetic: {{count: 16}}}}}}
  five: {{preset: stsb, items: {{synthetic: {{count: 8}}}}}}
pairs:
  bert: {{teacher: bert, student: distilbert}}
"""


@dataclass(slots=True)
class Spent:
    """Costs of the scheduler, and how the machines spent their time."""

    planning_s: float = 0.0
    deciding_s: float = 0.0
    making_s: float = 0.0
    decisions: int = 0
    busy_s: float = 0.0
    idle_s: float = 0.0
    ends: Counter[str] = field(default_factory=Counter)

    @property
    def decision_us(self) -> float:
        """Mean cost of a decision, microseconds."""
        return 1e6 * self.deciding_s / self.decisions

    @property
    def busy_percent(self) -> float:
        """Share of busy time, in percent of the time in which machines were present and had work left."""
        return 100 * self.busy_s / (self.busy_s + self.idle_s)


class Simulation:
    """A study on `machines` machines, from the first pilot to the last trial."""

    def __init__(self, pinned: Pinned, machines: int) -> None:
        self.spent = Spent()
        self._rng = random.Random(machines)
        self._design = Design(pinned, store_id="store")
        # Equal to the plan's cells but not the same objects, as those of rows that are read from files.
        self._cells = tuple(cells(pinned.study))
        self._names = [f"machine-{number:04d}" for number in range(machines)]
        self._speed = {name: self._rng.uniform(0.2, 0.6) for name in self._names}
        begin = time.perf_counter()
        self.scheduler = Scheduler(self._design)
        for name in self._names:
            self.scheduler.join(name, place=name, boot_id="boot")
        self.spent.planning_s = time.perf_counter() - begin

    def run(self) -> None:
        """Let every machine run its trials. The coordinator serves one machine after the other."""
        queue = [(0.0, name, "") for name in self._names]
        heapq.heapify(queue)
        coordinator_s = 0.0
        while queue:
            ready_s, name, ended_by = heapq.heappop(queue)
            begin_s = max(ready_s, coordinator_s)
            cost_s, assignment = self._decide(name, ended_by, begin_s)
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

    def _decide(self, name: str, ended_by: str, now_s: float) -> tuple[float, Assignment | None]:
        """Note how the machine's trial ended and return its next, after the seconds that the coordinator spent."""
        scheduler = self.scheduler
        done = scheduler.members[name].assignment
        fact = None if done is None or ended_by in {"lost", "leaves"} else self._fact(done, ended_by, now_s)
        begin = time.perf_counter()
        if ended_by == "leaves":
            scheduler.join(name, place=name, boot_id="boot")
        if fact is not None:
            scheduler.ended(fact, machine_id=name)
        elif done is not None:
            scheduler.lost(name)
        following = scheduler.next(name, now_s)
        decided = time.perf_counter()
        self.spent.deciding_s += decided - begin
        if not isinstance(following, Assignment):
            return decided - begin, None
        scheduler.trial(following)
        made = time.perf_counter()
        self.spent.making_s += made - decided
        self.spent.decisions += 1
        return made - begin, following

    def _measure(self) -> tuple[float, str]:
        """Draw the duration of a trial in seconds, and how it ends; an empty text for a good end."""
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

    def _fact(self, done: Assignment, ended_by: str, now_s: float) -> AttemptFact:
        place = self.scheduler.places[done.place]
        pilot = done.kind == "pilot"
        passes = 1 if pilot or place.passes is None else place.passes[done.cell]
        ok = ended_by == "ok"
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
            reason=None if ok else ended_by,
            window_s=self._speed[done.place] * (1 + done.cell / 10) * passes if ok else None,
            passes=passes,
            wall_s=TRIAL_S,
            ended_s=now_s,
        )


def simulated(pinned: Pinned, machines: int) -> Spent:
    """Simulate a whole study and return its costs."""
    simulation = Simulation(pinned, machines)
    simulation.run()
    assert simulation.scheduler.finished(), "the study did not end"
    return simulation.spent


def peer_loop_s(machines: int, trials: int) -> float:
    """Return the seconds of the peer: a loop that hands out `trials` to each machine in order."""
    next_of = [0] * machines
    queue = [(0.0, machine) for machine in range(machines)]
    begin = time.perf_counter()
    while queue:
        now_s, machine = heapq.heappop(queue)
        if next_of[machine] < trials:
            next_of[machine] += 1
            heapq.heappush(queue, (now_s + TRIAL_S, machine))
    return time.perf_counter() - begin


def benchmark(run: BenchmarkRun) -> list[Figure]:
    """Simulate fleets of ten, a hundred and a thousand machines, each several times, in turn with the peer."""
    sizes = run.size(SIZES, (2, 4))
    with tempfile.TemporaryDirectory() as folder:
        pinned = pinned_study(STUDY, "fleet-scale", Path(folder))
    fastest: dict[int, Spent] = {}
    peer_s: list[float] = []
    for _ in range(run.size(RUNS, 1)):
        for machines in sizes:
            spent = simulated(pinned, machines)
            # Whatever else the machine does can only slow a run down.
            fastest[machines] = min(fastest.get(machines, spent), spent, key=lambda costs: costs.deciding_s)
        peer_s.append(peer_loop_s(sizes[-1], TRIALS))
    for machines, spent in fastest.items():
        print(
            f"{machines:5} machines: planned in {spent.planning_s:.3f} s; {spent.decisions} decisions at "
            f"{spent.decision_us:.2f} µs, {1e6 * spent.making_s / spent.decisions:.1f} µs more to make a trial; "
            f"busy {spent.busy_percent:.3f} %; ends: {dict(spent.ends)}",
            file=sys.stderr,
        )
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    few, many = fastest[sizes[0]], fastest[sizes[-1]]
    turn_us = 1e6 * min(peer_s) / (sizes[-1] * TRIALS)
    return [
        ratio("fleet_planning", many.planning_s, min(peer_s), peer=PEER, unit="s", bound=PLANNING_TIMES),
        ratio("fleet_decisions", many.decision_us, turn_us, peer=PEER, unit="µs", bound=DECISION_TIMES),
        ratio(
            "fleet_growth",
            many.decision_us,
            few.decision_us,
            peer=f"a decision among {sizes[0]} machines",
            unit="µs",
            bound=NEAR_LINEAR,
        ),
        Figure(benchmark="fleet_memory", value=memory_mb, unit="MB", bound=MEMORY_MB),
        Figure(benchmark="fleet_busy", value=many.busy_percent, unit="%", bound=BUSY_PERCENT, at_most=False),
    ]


if __name__ == "__main__":
    sys.exit(run_program(__doc__, benchmark))
