"""Whether intervals hold what they say: 20,000 simulated studies a scenario, through the functions of `compare`.

The student costs what its teacher does, so a p-value under 5 % is a false positive, and an interval should
hold 1. At most 5 % of false positives and at least 95 % of coverage are wanted, each with three standard
errors of the simulation itself, and a mean width of at most 1.15 times an oracle's: an analyst who is told
all variances, weighs trials and machines in the best way, and answers by Student's t with the same degrees
of freedom. What no method escapes is not counted against this one: not to know a variance costs t
instead of the normal distribution (at five blocks 2.78 instead of 1.96). Student's own interval is a little
narrower than that oracle's in the mean, since small samples underestimate a standard deviation (0.94 at
five blocks); the modified Hartung-Knapp interval is 1.14 times as wide for three machines that are alike.

A scenario beyond a bound is simulated again, with ten times as many studies and seeds of their own, and those
count: with some fifty rates that are just what they should be, chance alone puts one of them beyond three
standard errors now and then.

Scenarios outside the method's assumptions are printed as known limits and have no bound; which are, and
by what theory, is in validity_scenarios.py. One seed gives the same figures on any number of CPUs.
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
from benchmarks.harness.reporting import Figure, finish

STUDIES = 20_000
CHUNK = 500
SEED = 20_240_414

AGAIN = 10
"""Times as many studies for a scenario that is beyond a bound, from seeds of their own, and what they say counts:
of some fifty rates of just 5 %, chance alone puts one beyond three standard errors in every 15th run. What is
really beyond its bound is more so with more studies, as the standard error is a third."""

AGAIN_FROM = 1_000_000
"""The number of their first chunk."""


def main() -> int:
    """Simulate, and print the table."""
    parser = argparse.ArgumentParser(description="Simulated studies against the bounds of the statistics.")
    parser.add_argument("--studies", type=int, default=STUDIES, help="of each scenario (default: %(default)s)")
    parser.add_argument("--only", default="", help="scenarios whose name and size hold this")
    arguments = parser.parse_args()
    known = [scenario for scenario in scenarios() if arguments.only in title(scenario)]
    started = time.monotonic()
    table: list[tuple[Row, Tally]] = []
    print(f"{'':60} false positives     coverage            width / oracle's", file=sys.stderr)
    with ProcessPoolExecutor(os.cpu_count()) as workers:
        first = simulated(known, arguments.studies, workers)
        for scenario, tallies in zip(known, first, strict=True):
            found = tallies
            if missed(scenario, found):
                shown(scenario, found, " at first")
                (found,) = simulated([scenario], arguments.studies * AGAIN, workers, first=AGAIN_FROM)
            table += shown(scenario, found)
    print(f"{time.monotonic() - started:.0f} s, {arguments.studies} studies a scenario, seed {SEED}", file=sys.stderr)
    return finish(figures(table))


def title(scenario: Scenario) -> str:
    """What tells it from the others."""
    return f"{scenario.rows[0].name}, {scenario.rows[0].size}"


def missed(scenario: Scenario, tallies: Sequence[Tally]) -> bool:
    """Whether one of its rows is beyond a bound."""
    return any(row.verdict(tally) == "MISSED" for row, tally in zip(scenario.rows, tallies, strict=True))


def shown(scenario: Scenario, tallies: Sequence[Tally], note: str = "") -> list[tuple[Row, Tally]]:
    """Print the rows that have something to say; returns them."""
    rows = [(row, tally) for row, tally in zip(scenario.rows, tallies, strict=True) if tally.tests or tally.intervals]
    for row, tally in rows:
        print(line(row, tally) + note, file=sys.stderr, flush=True)
    return rows


def simulated(
    known: Sequence[Scenario], studies: int, workers: ProcessPoolExecutor, *, first: int = 0
) -> Iterable[tuple[Tally, ...]]:
    """The tallies of each scenario, in order; `first` is the number of their first chunk."""
    sizes = [min(CHUNK, studies - start) for start in range(0, studies, CHUNK)]
    chunks = [
        [workers.submit(chunk, scenario, number, size) for number, size in enumerate(sizes, first)]
        for scenario in known
    ]
    for scenario, futures in zip(known, chunks, strict=True):
        tallies = tuple(Tally() for _ in scenario.rows)
        for future in futures:
            tallies = tuple(so_far + more for so_far, more in zip(tallies, future.result(), strict=True))
        yield tallies


def chunk(scenario: Scenario, number: int, studies: int) -> tuple[Tally, ...]:
    """Some studies of a scenario, from a seed of its own: adding a scenario changes no other."""
    name = zlib.crc32(title(scenario).encode())
    return scenario.run(np.random.default_rng(np.random.SeedSequence(SEED, spawn_key=(name, number))), studies)


def line(row: Row, tally: Tally) -> str:
    """A line of the table."""
    cells = [
        _cell(tally.error_rate, None if row.limit else most_positives(tally.tests), "<="),
        _cell(tally.coverage, None if row.limit else least_coverage(tally.intervals), ">="),
        _cell(tally.relative_width, None if row.limit or row.wide else WIDEST, "<=", percent=False),
    ]
    why = f": {row.limit}" if row.limit else f" (width: {row.wide})" if row.wide else ""
    return f"{row.name:43} {row.size:16} {' '.join(cells)} {row.verdict(tally)}{why}"


def figures(table: Sequence[tuple[Row, Tally]]) -> list[Figure]:
    """The worst of what has bounds."""
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
    sys.exit(main())
