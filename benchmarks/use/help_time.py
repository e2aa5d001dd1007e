"""How long `joulefleet --help` takes, whole process, median of 15 runs, beside the bare interpreter."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.harness.reporting import Figure, finish

RUNS = 15
BOUND_S = 0.3


def seconds(command: list[str]) -> float:
    """Wall time of `command`."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> int:
    """Time both, one after the other in turn."""
    script = str(Path(sys.executable).with_name("joulefleet"))
    ours, bare = [], []
    for _ in range(RUNS):
        ours.append(seconds([script, "--help"]))
        bare.append(seconds([sys.executable, "-c", "pass"]))
    return finish(
        [
            Figure(
                benchmark="help_time",
                value=statistics.median(ours),
                unit="s",
                bound=BOUND_S,
                peers={"python -c pass": statistics.median(bare)},
            )
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
