"""How far the energy of a window is from the truth, on simulated machines whose truth is known.

700 windows of random machines in simulated time (1 s to several wraps of their counters, with late
and held-up readings, failing reads, suspends, reloads of the driver and resets without any other sign)
and 300 in real time, cut from one run of `python -m agent.simulation` whose packages' counters wrap
every few seconds. The machine's own description says which counters and totals there are, what makes
up a total, and what can be known. An error may be 2 ms of the machine's true peak power and one count;
what cannot be known must have no number, and what can must have one. The peers get the same counters:
pyRAPL's own classes the readings at the two marks, codecarbon's own class a reading every 15 s.
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

from benchmarks.harness.reporting import Figure, finish
from benchmarks.measurement.energy_truth import Counted
from benchmarks.measurement.energy_windows import KINDS, simulated_window
from benchmarks.measurement.live_windows import live_windows
from benchmarks.peers import codecarbon, pyrapl
from benchmarks.peers.environments import ensure_environment

SIMULATED, LIVE, UNTELLABLE = 700, 300, 100
SEED = 20_240_414
PEERS_FOLDER = Path(__file__).resolve().parents[2] / ".peers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How good the answers of one tool are."""

    worst: float
    """The largest error of what can be known, in multiples of what is allowed."""
    worst_j: float
    median_j: float
    negative: int
    phantoms: int
    """Numbers for what cannot be known."""
    withheld: int
    """No number for what can be known."""
    amiss: int
    """Counters and totals of the machine without an answer or with two, and answers for what it does not have."""
    margin: int
    """Within the margin in which a number and none are both right; a number must be right all the same."""
    answers: int
    numbers: int

    def __str__(self) -> str:
        return (
            f"{self.answers} answers: worst error {self.worst_j:.3g} J ({self.worst:.3g} times what is allowed), "
            f"median {self.median_j:.3g} J; {self.negative} negative, {self.phantoms} numbers for what cannot be "
            f"known, {self.withheld} withheld, {self.amiss} amiss; {self.numbers} have a number, "
            f"{self.margin} are within the margin"
        )


def scored(counted: Sequence[Counted], answers: Sequence[float | None]) -> Score:
    """`answers`, one for each of `counted`, against the truth."""
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
    """pyRAPL, which knows packages and their memory; all of a window are one of its measurements."""
    known, answers = [], []
    for _, group in groupby(counted, key=lambda one: one.window):
        counters = [one for one in group if one.edges_uj and pyrapl.can_read(one.domain)]
        before, after = ({one.domain: one.edges_uj[end] for one in counters if one.edges_uj} for end in (0, 1))
        found = pyrapl.joules(before, after)
        known += counters
        answers += [found[one.domain] for one in counters]
    return scored(known, answers)


def codecarbon_score(counted: Sequence[Counted]) -> Score:
    """codecarbon, which reads packages alone."""
    python = ensure_environment("codecarbon", PEERS_FOLDER / "codecarbon")
    packages = [one for one in counted if one.seldom and one.domain.startswith("package-") and "/" not in one.domain]
    counters = [{"range_uj": one.range_uj, "readings": one.seldom} for one in packages]
    return scored(packages, codecarbon.joules(python, counters))


def main() -> int:
    """Make the windows, and score everybody on them."""
    random = Random(SEED)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        counted: list[Counted] = []
        for window in range(SIMULATED):
            counted += simulated_window(folder / "sys", random, KINDS[window % len(KINDS)], window=window)
        untellable: list[Counted] = []
        for window in range(UNTELLABLE):
            untellable += simulated_window(folder / "sys", random, "bare_small", window=window)
        live = live_windows(folder, random, count=LIVE, first=SIMULATED)
    for kind in dict.fromkeys(KINDS):
        print(f"{kind:8}", _ours([one for one in counted if one.kind == kind]), file=sys.stderr)
    print("live    ", _ours(live.counted), file=sys.stderr)
    print(
        f"         of its {live.marks} marks {live.standstills} fell where the simulation stood still: no window "
        f"begins or ends there. The slowest mark took {live.slowest_mark_ms:.2f} ms",
        file=sys.stderr,
    )
    counted += live.counted
    ours, peers = _ours(counted), {"pyRAPL": pyrapl_score(counted), "codecarbon": codecarbon_score(counted)}
    for tool, score in {"Joulefleet": ours, **peers}.items():
        print(f"{tool:11}", score, file=sys.stderr)
    missed = _ours(untellable).phantoms
    print(
        f"Bare resets of counters that wrap within minutes: {missed} of {len(untellable)} counters and totals were "
        "taken for wraps, as nothing tells them apart.",
        file=sys.stderr,
    )

    def figure(what: str, unit: str, bound: float) -> Figure:
        theirs = {tool: float(getattr(score, what)) for tool, score in peers.items()}
        return Figure(benchmark=f"energy_error_{what}", value=getattr(ours, what), unit=unit, bound=bound, peers=theirs)

    return finish(
        [
            figure("worst", "times (2 ms of the true peak power + a count)", 1.0),
            figure("negative", "energies", 0),
            figure("phantoms", "numbers for what cannot be known", 0),
            figure("withheld", "knowable energies without a number", 0),
            Figure(
                benchmark="energy_error_amiss",
                value=ours.amiss,
                unit="counters and totals that are missing, twice, or none of the machine's",
                bound=0,
            ),
        ]
    )


def _ours(counted: Sequence[Counted]) -> Score:
    return scored(counted, [one.ours_j for one in counted])


if __name__ == "__main__":
    sys.exit(main())
