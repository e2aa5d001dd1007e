"""CPU that Joulefleet and Ray use on a measured machine: all their processes while a window is open.

This program observes from outside: it starts `joulefleet run` with embedded Ray, reads the CPU time of every
process below it once a second, and afterwards selects the readings inside a window. The work itself is left
out; everything else counts. The peer is the parent of optimum-benchmark's process launcher while its child
measures.
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
from math import nan
from pathlib import Path

import psutil

import joulefleet
from benchmarks.harness.figures import Figure
from benchmarks.harness.processes import JOULEFLEET, cpu_clock_s
from benchmarks.harness.program import BenchmarkRun, run_program
from benchmarks.harness.studies import BERT_BASE, DISTILBERT_BASE, TINY_BERT, TINY_DISTILBERT
from benchmarks.peers.optimum_benchmark import NAME, prepared, run_once

BOUND_PERCENT = 2.5
BOUND_ONE_PERCENT = 1.5
SAMPLE_EVERY_S = 1.0

Sample = tuple[int, dict[int, tuple[str, float]]]
"""Time in ns of CLOCK_MONOTONIC, and by process id the name and the CPU seconds of each process."""


def study_text(run: BenchmarkRun) -> str:
    """Return the study, in a smoke run with tiny models, one repetition and short windows."""
    return f"""
name: quiet
regime: burst
repetitions: {run.size(3, 1)}
models:
  bert: {run.size(BERT_BASE, TINY_BERT)}
  distilbert: {run.size(DISTILBERT_BASE, TINY_DISTILBERT)}
tasks:
  sst2: {{preset: sst2, items: {{synthetic: {{count: {run.size(16, 4)}}}}}}}
pairs:
  bert: {{teacher: bert, student: distilbert}}
measure:
  baseline_s: {run.size(2.0, 0.02)}
  window: {{at_least_s: {run.size(8, 1)}}}
  modelled: {{}}
"""


def sample(root: int) -> Sample:
    """Return the CPU seconds of the process `root` and of every process below it."""
    now = time.monotonic_ns()
    used = {}
    try:
        family = [psutil.Process(root), *psutil.Process(root).children(recursive=True)]
    except psutil.NoSuchProcess:
        return now, {}
    for process in family:
        try:
            used[process.pid] = (process.name(), cpu_clock_s(process.pid))
        except (psutil.Error, OSError):
            continue
    return now, used


def watch(folder: Path, text: str, every_s: float) -> tuple[list[Sample], list[tuple[int, int]], set[int]]:
    """Run the study and sample it; return the samples, the windows (ns), and the process ids of the work."""
    (folder / "study.yaml").write_text(text)
    environment = os.environ | {"JOULEFLEET_STATE": str(folder / "state")}
    process = subprocess.Popen(
        [JOULEFLEET, "run", str(folder / "study.yaml"), "--store", str(folder / "store")],
        env=environment,
        stdout=sys.stderr,
    )
    samples = []
    while process.poll() is None:
        samples.append(sample(process.pid))
        time.sleep(every_s)
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
    """Return for each window the use of every process except the work, percent of one core, by name and pid."""
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


def peer_percent(run: BenchmarkRun) -> float:
    """Return the use of optimum-benchmark's parent while it measures, percent of one core."""
    if run.leaves_out(f"the peer {NAME}: it needs a downloaded environment of its own"):
        return nan
    python, model = prepared()
    with tempfile.TemporaryDirectory() as workdir:
        return run_once(python, model, Path(workdir), duration_s=5.0, iterations=5, warmup=1).parent_cpu_percent


def benchmark(run: BenchmarkRun) -> list[Figure]:
    """Watch a study, and then its peer."""
    with tempfile.TemporaryDirectory() as folder:
        windows = percents(*watch(Path(folder), study_text(run), run.size(SAMPLE_EVERY_S, 0.1)))
    if not windows:
        raise SystemExit("no window lasted long enough to be sampled")
    together = statistics.median(sum(used.values()) for used in windows)
    names = {name for used in windows for name in used}
    by_process = {name: statistics.median(used.get(name, 0.0) for used in windows) for name in names}
    for name, percent in sorted(by_process.items(), key=lambda pair: -pair[1]):
        print(f"{percent:6.3f} %  {name}", file=sys.stderr)
    peers = {f"{NAME} parent": peer_percent(run)}
    return [
        Figure(benchmark="quiet", value=together, unit="% of one core", bound=BOUND_PERCENT, peers=peers),
        Figure(
            benchmark="quiet_largest_process",
            value=max(by_process.values()),
            unit="% of one core",
            bound=BOUND_ONE_PERCENT,
            peers=peers,
        ),
    ]


if __name__ == "__main__":
    sys.exit(run_program(__doc__, benchmark))
