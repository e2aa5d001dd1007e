"""How long `make demo` takes in a fresh clone with pip's cache as it is, and how long its study does.

The clone is of the last commit. Weights are written anew: the clone has a cache of its own.
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
from benchmarks.harness.reporting import Figure, finish

BOUND_S = 600.0
STUDY_BOUND_S = 300.0
ROOT = Path(__file__).resolve().parents[2]


def program(name: str) -> str:
    """Where `name` is. Raises SystemExit where it is not."""
    return shutil.which(name) or sys.exit(f"{name} is missing: install it")


def main() -> int:
    """Clone, make demo, and ask its store when the study began and ended."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "joulefleet"
        subprocess.run([program("git"), "clone", "--quiet", str(ROOT), str(clone)], check=True)
        environment = os.environ | {"JOULEFLEET_CACHE": f"{folder}/cache", "JOULEFLEET_STATE": f"{folder}/state"}
        begun = time.perf_counter()
        subprocess.run([program("make"), "demo"], cwd=clone, env=environment, check=True, stdout=sys.stderr)
        whole_s = time.perf_counter() - begun
        with joulefleet.open(clone / ".demo") as store:
            (row,) = store.arrow(
                "select max(epoch(started_at) + wall_s) - min(epoch(started_at)) study_s from attempts"
            ).to_pylist()
    return finish(
        [
            Figure(benchmark="demo", value=whole_s, unit="s", bound=BOUND_S),
            Figure(benchmark="demo_study", value=row["study_s"], unit="s", bound=STUDY_BOUND_S),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
