"""The time of `joulefleet --help`, whole process, against the bare interpreter: medians of 15 runs in turn."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.harness.figures import Figure, ratio
from benchmarks.harness.processes import JOULEFLEET
from benchmarks.harness.program import BenchmarkRun, run_program

RUNS = 15
BOUND_TIMES = 10.5
"""Largest ratio: 0.3 s where the interpreter needs 28 ms."""


def seconds(command: Sequence[str]) -> float:
    """Return the wall time of `command`."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def benchmark(run: BenchmarkRun) -> list[Figure]:
    """Time both programs in turn."""
    help_s, python_s = [], []
    for _ in range(run.size(RUNS, 1)):
        help_s.append(seconds([JOULEFLEET, "--help"]))
        python_s.append(seconds([sys.executable, "-c", "pass"]))
    return [
        ratio(
            "help_time",
            statistics.median(help_s),
            statistics.median(python_s),
            peer="python -c pass",
            unit="s",
            bound=BOUND_TIMES,
        )
    ]


if __name__ == "__main__":
    sys.exit(run_program(__doc__, benchmark))
