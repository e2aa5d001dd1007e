"""False positives, coverage and width of the intervals of `compare`, on 20,000 simulated studies a scenario.

The student costs what its teacher does, so a p-value under 5 % is a false positive, and an interval should
contain 1. The bounds: at most 5 % of false positives and at least 95 % of coverage, each with three standard
errors of the simulation itself; and a mean width of at most 1.15 times an oracle's. The oracle is an analyst
who knows all variances, weighs trials and machines in the best way, and answers by Student's t with the same
degrees of freedom. So the price that every method pays is not counted against this one: an unknown variance
costs t instead of the normal distribution (at five blocks 2.78 instead of 1.96). Student's own interval is a
little narrower than that oracle's in the mean, since small samples underestimate a standard deviation (0.94 at
five blocks); the modified Hartung-Knapp interval is 1.14 times as wide for three machines that are alike.

Scenarios outside the method's assumptions are printed as known limits and have no bound; validity_scenarios.py
says which they are, and by what theory. One seed gives the same figures on any number of CPUs.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from benchmarks.compare.validity_scenarios import scenarios
from benchmarks.compare.validity_tally import (
    STANDARD_ERRORS,
    WIDEST,
    Row,
    Scenario,
    Tally,
    least_coverage,
    most_positives,
)
from benchmarks.harness.figures import Figure
from benchmarks.harness.program import BenchmarkRun, run_program

STUDIES = 20_000
CHUNK = 500
SEED = 20_240_414

AGAIN = 10
"""Factor of the number of studies with which a scenario beyond a bound is simulated again, from seeds of its own.

The second result counts. Of some fifty rates of exactly 5 %, chance alone puts one beyond three standard errors
in every 15th run; a rate that is truly beyond is so more clearly with more studies, as their standard error is a
third.
"""

AGAIN_FROM = 1_000_000
"""Number of the first chunk of such a second simulation."""

SMOKE_EVERY = 12
"""Step with which a smoke run goes through the scenarios."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this program."""
    parser.add_argument("--studies", type=int, default=STUDIES, help="of each scenario (default: %(default)s)")
    parser.add_argument("--only", default="", help="scenarios whose name and size contain this text")


def benchmark(run: BenchmarkRun) -> list[Figure]:
    """Simulate, and print the table."""
    studies = run.size(run.options.studies, 20)
    chosen = [scenario for scenario in scenarios() if run.options.only in title(scenario)]
    if run.leaves_out(f"{SMOKE_EVERY - 1} of {SMOKE_EVERY} scenarios"):
        chosen = chosen[::SMOKE_EVERY]
    started = time.monotonic()
    table: list[tuple[Row, Tally]] = []
    print(f"{'':60} false positives     coverage            width / oracle's", file=sys.stderr)
    with ProcessPoolExecutor(os.cpu_count()) as workers:
        first = simulated(chosen, studies, workers)
        for scenario, first_tallies in zip(chosen, first, strict=True):
            tallies = first_tallies
            if missed(scenario, tallies):
                shown(scenario, tallies, " at first")
                (tallies,) = simulated([scenario], studies * AGAIN, workers, first=AGAIN_FROM)
            table += shown(scenario, tallies)
    print(f"{time.monotonic() - started:.0f} s, {studies} studies a scenario, seed {SEED}", file=sys.stderr)
    return figures(table)


def title(scenario: Scenario) -> str:
    """Return the name and size of a scenario, which no other has."""
    return f"{scenario.rows[0].name}, {scenario.rows[0].size}"


def missed(scenario: Scenario, tallies: Sequence[Tally]) -> bool:
    """Return whether one of its rows is beyond a bound."""
    return any(row.verdict(tally) == "MISSED" for row, tally in zip(scenario.rows, tallies, strict=True))


def shown(scenario: Scenario, tallies: Sequence[Tally], note: str = "") -> list[tuple[Row, Tally]]:
    """Print the rows that have tests or intervals; return them with their tallies."""
    rows = [(row, tally) for row, tally in zip(scenario.rows, tallies, strict=True) if tally.tests or tally.intervals]
    for row, tally in rows:
        print(line(row, tally) + note, file=sys.stderr, flush=True)
    return rows


def simulated(
    chosen: Sequence[Scenario], studies: int, workers: ProcessPoolExecutor, *, first: int = 0
) -> Iterable[tuple[Tally, ...]]:
    """Yield the tallies of each scenario, in order; `first` is the number of their first chunk."""
    sizes = [min(CHUNK, studies - start) for start in range(0, studies, CHUNK)]
    chunks = [
        [workers.submit(chunk, scenario, number, size) for number, size in enumerate(sizes, first)]
        for scenario in chosen
    ]
    for scenario, futures in zip(chosen, chunks, strict=True):
        tallies = tuple(Tally() for _ in scenario.rows)
        for future in futures:
            tallies = tuple(so_far + more for so_far, more in zip(tallies, future.result(), strict=True))
        yield tallies


def chunk(scenario: Scenario, number: int, studies: int) -> tuple[Tally, ...]:
    """Simulate some studies of a scenario, from a seed of its own: adding a scenario changes no other."""
    name = zlib.crc32(title(scenario).encode())
    return scenario.run(np.random.default_rng(np.random.SeedSequence(SEED, spawn_key=(name, number))), studies)


def line(row: Row, tally: Tally) -> str:
    """Return a line of the table."""
    cells = [
        _cell(tally.error_rate, None if row.limit else most_positives(tally.tests), "<="),
        _cell(tally.coverage, None if row.limit else least_coverage(tally.intervals), ">="),
        _cell(tally.relative_width, None if row.limit or row.wide else WIDEST, "<=", percent=False),
    ]
    why = f": {row.limit}" if row.limit else f" (width: {row.wide})" if row.wide else ""
    return f"{row.name:43} {row.size:16} {' '.join(cells)} {row.verdict(tally)}{why}"


def figures(table: Sequence[tuple[Row, Tally]]) -> list[Figure]:
    """Return the worst of all rows that have bounds."""
    bound = [(row, tally) for row, tally in table if not row.limit]
    lowest = -math.sqrt(STUDIES)
    return [
        Figure(
            benchmark="validity_false_positives",
            value=max((tally.positives_beyond for _, tally in bound if tally.tests), default=lowest),
            unit="standard errors above 5 %, the worst",
            bound=STANDARD_ERRORS,
        ),
        Figure(
            benchmark="validity_coverage",
            value=max((tally.misses_beyond for _, tally in bound if tally.intervals), default=lowest),
            unit="standard errors below 95 %, the worst",
            bound=STANDARD_ERRORS,
        ),
        Figure(
            benchmark="validity_width",
            value=max((tally.relative_width or 0.0 for row, tally in bound if not row.wide), default=0.0),
            unit="times the oracle's, the widest",
            bound=WIDEST,
        ),
    ]


def _cell(value: float | None, bound: float | None, sign: str, *, percent: bool = True) -> str:
    if value is None:
        return " " * 17
    shown = f"{value:7.2%}" if percent else f"{value:7.3f}"
    limit = "" if bound is None else f"({sign} {bound:.2%})" if percent else f"({sign} {bound:.2f})"
    return f"{shown} {limit:11}"[:19].ljust(19)


if __name__ == "__main__":
    sys.exit(run_program(__doc__, benchmark, add_options=add_options))
