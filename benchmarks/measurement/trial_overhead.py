"""Overhead of a trial: its wall time without baseline, warm-up, window and cool-down.

Trials run through embedded Ray; the time counts from the moment when the coordinator sends one until its row
is in the store, and loading the weights belongs to the overhead. The peer is optimum-benchmark's process
launcher on the same architecture, without the time in which it measures. Both take turns.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import nan
from pathlib import Path

import joulefleet
from benchmarks.harness.figures import Figure, ratio
from benchmarks.harness.program import BenchmarkRun, run_program
from benchmarks.harness.studies import BERT_BASE, DISTILBERT_BASE, TINY_BERT, TINY_DISTILBERT, pinned_study
from benchmarks.peers.optimum_benchmark import NAME, prepared, run_once
from coordinator.campaign.campaign import Campaign
from coordinator.cluster.interface import Command
from coordinator.cluster.ray import RayCluster
from coordinator.events.events import Event, TrialEnded, TrialStarted
from coordinator.store.writer import StoreWriter, open_store

BOUND_TIMES = 0.05
"""Overhead of a trial, in multiples of the peer's."""
PEER_RUNS = 3


def study_text(run: BenchmarkRun) -> str:
    """Return the study, in a smoke run with tiny models and one repetition."""
    return f"""
name: trial-overhead
regime: burst
repetitions: {run.size(10, 1)}
models:
  bert: {run.size(BERT_BASE, TINY_BERT)}
  distilbert: {run.size(DISTILBERT_BASE, TINY_DISTILBERT)}
tasks:
  sst2: {{preset: sst2, items: {{synthetic: {{count: 8}}}}}}
pairs:
  bert: {{teacher: bert, student: distilbert}}
measure:
  baseline_s: 0.3
  warm_up: {{at_least_s: 0.2, at_most_s: 0.2}}
  window: {{passes: 2}}
  cool_down: {{fixed_s: 0.1, at_most_s: 0.1}}
  modelled: {{}}
"""


def overheads(folder: Path, text: str) -> Iterator[tuple[str, float]]:
    """Run a real campaign; yield the model of each trial and its overhead, seconds."""
    pinned = pinned_study(text, "trial-overhead", folder)
    walls: dict[str, float] = {}
    started = 0.0

    def tell(event: Event) -> None:
        nonlocal started
        if isinstance(event, TrialStarted):
            started = time.perf_counter()
        elif isinstance(event, TrialEnded):
            walls[event.trial.trial_id] = time.perf_counter() - started

    with open_store(folder / "store", study="trial-overhead") as store, embedded(store) as cluster:
        Campaign(cluster, store, pinned, on_event=tell, should_stop=lambda: False).run()
    with joulefleet.open(folder / "store") as reader:
        rows = reader.arrow("select trial_id, model, phases from attempts where status = 'ok'").to_pylist()
    for row in rows:
        measured = sum(
            phase["seconds"]
            for phase in row["phases"]
            if phase["phase"] in ("baseline", "warm_up", "window", "cool_down")
        )
        yield row["model"], walls[row["trial_id"]] - measured


@contextmanager
def embedded(store: StoreWriter) -> Iterator[RayCluster]:
    """Start embedded Ray; end it at the end."""
    cluster = RayCluster(Command(store_id=store.store_id, epoch=store.epoch))
    try:
        yield cluster
    finally:
        cluster.close()


def peer_overheads(run: BenchmarkRun) -> Iterator[float]:
    """Yield the seconds that optimum-benchmark needs beyond the time it was asked to measure."""
    if run.leaves_out(f"the peer {NAME}: it needs a downloaded environment of its own"):
        yield nan
        return
    python, model = prepared()
    for _ in range(PEER_RUNS):
        with tempfile.TemporaryDirectory() as workdir:
            peer = run_once(python, model, Path(workdir), duration_s=1.0, iterations=1, warmup=1)
        print(f"{NAME}: {peer.wall_s:.2f} s, {peer.overhead_s:.2f} s of it overhead", file=sys.stderr)
        yield peer.overhead_s


def benchmark(run: BenchmarkRun) -> list[Figure]:
    """Measure Joulefleet before and after the peer, so that a drift of the machine shows."""
    by_model: dict[str, list[float]] = {}
    peer_s = nan
    with tempfile.TemporaryDirectory() as folder:
        for half in run.size(("before", "after"), ("before",)):
            for model, seconds in overheads(Path(folder) / half, study_text(run)):
                by_model.setdefault(model, []).append(seconds)
            if half == "before":
                peer_s = statistics.median(peer_overheads(run))
    medians = {model: statistics.median(values) for model, values in by_model.items()}
    for model, values in by_model.items():
        print(f"{model}: median {medians[model]:.3f} s, {min(values):.3f} to {max(values):.3f} s", file=sys.stderr)
    return [ratio("trial_overhead", max(medians.values()), peer_s, peer=NAME, unit="s", bound=BOUND_TIMES)]


if __name__ == "__main__":
    sys.exit(run_program(__doc__, benchmark))
