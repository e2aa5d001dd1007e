"""What Joulefleet and Ray cost a measured machine: CPU of all their processes while a window is open.

Seen from outside: this program starts `joulefleet run` (embedded Ray), reads the CPU time of every
process below it once a second from /proc, and afterwards takes the seconds that lay wholly inside a
window. The work itself is left out; everything else counts. The peer is the parent of
optimum-benchmark's process launcher while its child measures.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import psutil

import joulefleet
from benchmarks.harness.reporting import Figure, finish
from benchmarks.peers.optimum_benchmark import ensure_venv, make_bert_base, run_once

BOUND_PERCENT = 2.5
BOUND_ONE_PERCENT = 1.5
PEERS_FOLDER = Path(__file__).resolve().parents[2] / ".peers"

STUDY = """
name: quiet
regime: burst
repetitions: 3
models:
  bert:
    architecture: {model_type: bert, config: {vocab_size: 30522}}
  distilbert:
    architecture: {model_type: distilbert, config: {vocab_size: 30522}}
tasks:
  sst2: {preset: sst2, items: {synthetic: {count: 16}}}
pairs:
  bert: {teacher: bert, student: distilbert}
measure:
  window: {at_least_s: 8}
  modelled: {}
"""

Sample = tuple[int, dict[int, tuple[str, float]]]
"""Time in ns of CLOCK_MONOTONIC, and of each process its name and CPU seconds."""


def sample(root: int) -> Sample:
    """The CPU seconds of every process below `root`, itself included."""
    now = time.monotonic_ns()
    found = {}
    try:
        family = [psutil.Process(root), *psutil.Process(root).children(recursive=True)]
    except psutil.NoSuchProcess:
        return now, {}
    for process in family:
        try:
            # The CPU-time clock of another process: exact, where /proc counts in ticks of 10 ms.
            cpu_s = time.clock_gettime_ns((~process.pid << 3) | 2) / 1e9
            found[process.pid] = (process.name(), cpu_s)
        except (psutil.Error, OSError):
            continue
    return now, found


def watch(folder: Path) -> tuple[list[Sample], list[tuple[int, int]], set[int]]:
    """Run the study, sampling once a second: samples, windows, process ids of the work."""
    (folder / "study.yaml").write_text(STUDY)
    environment = os.environ | {"JOULEFLEET_STATE": str(folder / "state")}
    script = str(Path(sys.executable).with_name("joulefleet"))
    process = subprocess.Popen(
        [script, "run", str(folder / "study.yaml"), "--store", str(folder / "store")], env=environment
    )
    samples = []
    while process.poll() is None:
        samples.append(sample(process.pid))
        time.sleep(1.0)
    if process.returncode:
        raise SystemExit(f"joulefleet run ended with {process.returncode}")
    journal = (folder / "state" / "starts.jsonl").read_text().splitlines()
    work = {int(json.loads(line)["pid"]) for line in journal}
    with joulefleet.open(folder / "store") as store:
        rows = store.arrow("select phases from attempts where kind = 'trial' and status = 'ok'").to_pylist()
    windows = [
        (phase["start_ns"], phase["end_ns"]) for row in rows for phase in row["phases"] if phase["phase"] == "window"
    ]
    return samples, windows, work


def percents(samples: list[Sample], windows: list[tuple[int, int]], work: set[int]) -> list[dict[str, float]]:
    """Of each window, the CPU of every process that is not the work, percent of one core, by name and pid."""
    result = []
    for start, end in windows:
        inside = [entry for entry in samples if start <= entry[0] <= end]
        if len(inside) < 3:
            continue
        (first_ns, before), (last_ns, after) = inside[0], inside[-1]
        used: dict[str, float] = defaultdict(float)
        for pid, (name, cpu_s) in after.items():
            if pid not in work and pid in before:
                used[f"{name} {pid}"] = 100 * (cpu_s - before[pid][1]) / ((last_ns - first_ns) / 1e9)
        result.append(dict(used))
    return result


def peer_percent() -> float:
    """CPU of optimum-benchmark's parent while it measures."""
    venv = ensure_venv(PEERS_FOLDER / "optimum-benchmark")
    model = PEERS_FOLDER / "bert-base"
    make_bert_base(model, venv)
    with tempfile.TemporaryDirectory() as workdir:
        return run_once(venv, model, Path(workdir), duration_s=5.0, iterations=5, warmup=1).parent_cpu_percent


def main() -> int:
    """Watch a study and its peer."""
    with tempfile.TemporaryDirectory() as folder:
        windows = percents(*watch(Path(folder)))
    if not windows:
        raise SystemExit("no window lasted long enough to be sampled")
    together = statistics.median(sum(used.values()) for used in windows)
    names = {name for used in windows for name in used}
    each = {name: statistics.median(used.get(name, 0.0) for used in windows) for name in names}
    for name, percent in sorted(each.items(), key=lambda pair: -pair[1]):
        print(f"{percent:6.3f} %  {name}", file=sys.stderr)
    peers = {"optimum-benchmark 0.6.0 parent": peer_percent()}
    return finish(
        [
            Figure(benchmark="quiet", value=together, unit="% of one core", bound=BOUND_PERCENT, peers=peers),
            Figure(
                benchmark="quiet_largest_process",
                value=max(each.values()),
                unit="% of one core",
                bound=BOUND_ONE_PERCENT,
                peers=peers,
            ),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
