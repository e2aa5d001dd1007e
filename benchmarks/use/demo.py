"""The time of `make demo` in a fresh clone, with pip's cache as it is, and the time of its study alone.

The clone is of the last commit. It has a cache of its own, so the weights are written anew. Both bounds are
promises to the reader of README.md about a usual machine with two cores; there is no peer to compare with.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import joulefleet
from benchmarks.harness.figures import Figure
from benchmarks.harness.program import ROOT, BenchmarkRun, run_program
from benchmarks.store.generated_store import make_store, template, write_loose

BOUND_S = 600.0
STUDY_BOUND_S = 300.0
STUDY_TIME = "select max(epoch(started_at) + wall_s) - min(epoch(started_at)) as study_s from attempts"


def program(name: str) -> str:
    """Return the path of the program `name`. Raises SystemExit where it is missing."""
    return shutil.which(name) or sys.exit(f"{name} is missing: install it")


def study_s(store_folder: Path) -> float:
    """Return the seconds from the start of the first attempt in a store to the end of the last."""
    with joulefleet.open(store_folder) as store:
        (row,) = store.arrow(STUDY_TIME).to_pylist()
    return float(row["study_s"])


def benchmark(run: BenchmarkRun) -> list[Figure]:
    """Clone, make demo, and read from its store when the study began and ended."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "joulefleet"
        begun = time.perf_counter()
        if run.leaves_out("the clone, its environment and its study: they take minutes; make demo is only listed"):
            command = [program("make"), "--dry-run", "demo"]
            subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            store_folder = Path(folder) / "store"
            write_loose(make_store(store_folder), [template(number) for number in range(2)], 2)
        else:
            subprocess.run([program("git"), "clone", "--quiet", str(ROOT), str(clone)], check=True)
            environment = os.environ | {"JOULEFLEET_CACHE": f"{folder}/cache", "JOULEFLEET_STATE": f"{folder}/state"}
            begun = time.perf_counter()
            subprocess.run([program("make"), "demo"], cwd=clone, env=environment, check=True, stdout=sys.stderr)
            store_folder = clone / ".demo"
        demo_s = time.perf_counter() - begun
        return [
            Figure(benchmark="demo", value=demo_s, unit="s", bound=BOUND_S),
            Figure(benchmark="demo_study", value=study_s(store_folder), unit="s", bound=STUDY_BOUND_S),
        ]


if __name__ == "__main__":
    sys.exit(run_program(__doc__, benchmark))
