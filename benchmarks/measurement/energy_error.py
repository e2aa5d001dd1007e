"""Errors of the energy of a window, on simulated machines whose truth is known.

700 windows of random machines in simulated time (1 s to several wraps of their counters, with late
and held-up readings, failing reads, suspends, reloads of the driver, and resets that leave no other sign)
and 300 in real time, taken from one run of `python -m agent.simulation` whose packages' counters wrap
every few seconds. The description of a machine says which counters and totals it has, which counters make
up a total, and which energies can be known. An error may be 2 ms of the machine's true peak power and one
count. An energy that cannot be known must have no number, and one that can must have one.

The peers get the same counters: pyRAPL's own classes the readings at the two marks, codecarbon's own class a
reading every 15 s.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import nan
from pathlib import Path
from random import Random

from benchmarks.harness.figures import Figure
from benchmarks.harness.program import BenchmarkRun, run_program
from benchmarks.measurement.energy_truth import Counted
from benchmarks.measurement.energy_windows import KINDS, simulated_window
from benchmarks.measurement.live_windows import RUN_S, live_windows
from benchmarks.peers import codecarbon, pyrapl
from benchmarks.peers.environments import ensure_environment

SIMULATED, LIVE, AMBIGUOUS = 700, 300, 100
"""Numbers of windows. In ambiguous ones a counter is reset and nothing distinguishes this from a wrap."""
SEED = 20_240_414


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Quality of the answers of one tool."""

    worst: float
    """The largest error of a knowable energy, in multiples of the allowed one."""
    worst_j: float
    median_j: float
    negative: int
    phantoms: int
    """Numbers for energies that cannot be known."""
    withheld: int
    """Knowable energies without a number."""
    amiss: int
    """Counters and totals of the machine without an answer or with two, and answers for those it does not have."""
    margin: int
    """Energies within the margin in which both a number and none are right; a number must be right all the same."""
    answers: int
    numbers: int

    def __str__(self) -> str:
        return (
            f"{self.answers} answers: worst error {self.worst_j:.3g} J ({self.worst:.3g} times the allowed one), "
            f"median {self.median_j:.3g} J; {self.negative} negative, {self.phantoms} numbers for "
            f"unknowable energies, {self.withheld} withheld, {self.amiss} amiss; {self.numbers} have a number, "
            f"{self.margin} are within the margin"
        )


def scored(counted: Sequence[Counted], answers: Sequence[float | None]) -> Score:
    """Score `answers`, one for each of `counted`, against the truth."""
    pairs = list(zip(counted, answers, strict=True))
    errors = [
        (abs(answer - one.truth_j), one.allowed_j)
        for one, answer in pairs
        if one.knowable is not False and answer is not None
    ]
    return Score(
        worst=max((error / allowed for error, allowed in errors), default=nan),
        worst_j=max((error for error, _ in errors), default=nan),
        median_j=statistics.median([error for error, _ in errors] or [nan]),
        negative=sum(answer is not None and answer < 0 for answer in answers),
        phantoms=sum(one.knowable is False and answer is not None for one, answer in pairs),
        withheld=sum(one.knowable is True and answer is None for one, answer in pairs),
        amiss=sum(one.amiss for one in counted),
        margin=sum(one.knowable is None for one in counted),
        answers=len(pairs),
        numbers=sum(answer is not None for answer in answers),
    )


def pyrapl_score(counted: Sequence[Counted]) -> Score:
    """Score pyRAPL, which reads packages and their memory; the counters of a window are one of its measurements."""
    known, answers = [], []
    for _, group in groupby(counted, key=lambda one: one.window):
        counters = [one for one in group if one.edges_uj and pyrapl.can_read(one.domain)]
        before, after = ({one.domain: one.edges_uj[end] for one in counters if one.edges_uj} for end in (0, 1))
        joules = pyrapl.joules(before, after)
        known += counters
        answers += [joules[one.domain] for one in counters]
    return scored(known, answers)


def codecarbon_score(counted: Sequence[Counted]) -> Score:
    """Score codecarbon, which reads packages alone."""
    python = ensure_environment("codecarbon")
    packages = [one for one in counted if one.seldom and one.domain.startswith("package-") and "/" not in one.domain]
    counters = [{"range_uj": one.range_uj, "readings": one.seldom} for one in packages]
    return scored(packages, codecarbon.joules(python, counters))


def benchmark(run: BenchmarkRun) -> list[Figure]:
    """Make the windows, and score every tool on them."""
    random = Random(SEED)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulated = run.size(SIMULATED, len(KINDS))
        counted: list[Counted] = []
        for window in range(simulated):
            counted += simulated_window(folder / "sys", random, KINDS[window % len(KINDS)], window=window)
        ambiguous: list[Counted] = []
        for window in range(run.size(AMBIGUOUS, 1)):
            ambiguous += simulated_window(folder / "sys", random, "bare_small", window=window)
        live = live_windows(folder, random, count=run.size(LIVE, 3), first=simulated, seconds=run.size(RUN_S, 3.0))
    for kind in dict.fromkeys(KINDS):
        print(f"{kind:8}", own_score([one for one in counted if one.kind == kind]), file=sys.stderr)
    print("live    ", own_score(live.counted), file=sys.stderr)
    print(
        f"         {live.standstills} of its {live.marks} marks fell where the simulation stood still: no window "
        f"begins or ends there. The slowest mark took {live.slowest_mark_ms:.2f} ms",
        file=sys.stderr,
    )
    counted += live.counted
    own, peers = own_score(counted), {"pyRAPL": pyrapl_score(counted)}
    if not run.leaves_out("the peer codecarbon: it needs a downloaded environment of its own"):
        peers["codecarbon"] = codecarbon_score(counted)
    for tool, score in {"Joulefleet": own, **peers}.items():
        print(f"{tool:11}", score, file=sys.stderr)
    missed = own_score(ambiguous).phantoms
    print(
        f"Resets without another sign of counters that wrap within minutes: {missed} of {len(ambiguous)} counters and "
        "totals were taken for wraps, as nothing distinguishes the two.",
        file=sys.stderr,
    )

    def figure(field: str, unit: str, bound: float) -> Figure:
        theirs = {tool: float(getattr(score, field)) for tool, score in peers.items()}
        value = float(getattr(own, field))
        return Figure(benchmark=f"energy_error_{field}", value=value, unit=unit, bound=bound, peers=theirs)

    return [
        figure("worst", "times (2 ms of the true peak power + a count)", 1.0),
        figure("negative", "energies", 0),
        figure("phantoms", "numbers for what cannot be known", 0),
        figure("withheld", "knowable energies without a number", 0),
        Figure(
            benchmark="energy_error_amiss",
            value=own.amiss,
            unit="counters and totals that are missing, twice, or none of the machine's",
            bound=0,
        ),
    ]


def own_score(counted: Sequence[Counted]) -> Score:
    """Score Joulefleet."""
    return scored(counted, [one.ours_j for one in counted])


if __name__ == "__main__":
    sys.exit(run_program(__doc__, benchmark))
