"""What a trial costs beside what it measures: wall time less baseline, warm-up, window and cool-down.

Whole trials through embedded Ray, from the moment the coordinator sends one until its row is in the
store; loading the weights is part of the overhead. The peer is optimum-benchmark's process launcher
on the same architecture, its own measuring time taken off, in turn with ours.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import joulefleet
from benchmarks.harness.reporting import Figure, finish
from benchmarks.peers.optimum_benchmark import ensure_venv, make_bert_base, run_once
from coordinator.campaign.campaign import Campaign
from coordinator.cluster.interface import Command
from coordinator.cluster.ray import RayCluster
from coordinator.events.events import Event, TrialEnded, TrialStarted
from coordinator.planning.resolve import resolve
from coordinator.store.writer import StoreWriter, open_store
from joulefleet.study.load import study_of
from joulefleet.yamlfile.reader import parse_yaml

BOUND_S = 0.6
PEER_TIMES = 20.0
PEER_RUNS = 3
PEERS_FOLDER = Path(__file__).resolve().parents[2] / ".peers"

STUDY = """
name: trial-overhead
regime: burst
repetitions: 10
models:
  bert:
    architecture: {model_type: bert, config: {vocab_size: 30522}}
  distilbert:
    architecture: {model_type: distilbert, config: {vocab_size: 30522}}
tasks:
  sst2: {preset: sst2, items: {synthetic: {count: 8}}}
pairs:
  bert: {teacher: bert, student: distilbert}
measure:
  baseline_s: 0.3
  warm_up: {at_least_s: 0.2, at_most_s: 0.2}
  window: {passes: 2}
  cool_down: {fixed_s: 0.1, at_most_s: 0.1}
  modelled: {}
"""


def overheads(folder: Path) -> Iterator[tuple[str, float]]:
    """(model, seconds of overhead) of each trial, by a real campaign."""
    document = parse_yaml(STUDY, name="trial-overhead")
    pinned = resolve(study_of(document, name="trial-overhead"), folder)
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
    """Embedded Ray, ended at the end."""
    cluster = RayCluster(Command(store_id=store.store_id, epoch=store.epoch))
    try:
        yield cluster
    finally:
        cluster.close()


def peer_overheads() -> Iterator[float]:
    """Seconds that optimum-benchmark needs beyond the time it was asked to measure."""
    venv = ensure_venv(PEERS_FOLDER / "optimum-benchmark")
    model = PEERS_FOLDER / "bert-base"
    make_bert_base(model, venv)
    for _ in range(PEER_RUNS):
        with tempfile.TemporaryDirectory() as workdir:
            run = run_once(venv, model, Path(workdir), duration_s=1.0, iterations=1, warmup=1)
        print(f"optimum-benchmark: {run.wall_s:.2f} s, {run.overhead_s:.2f} s of it overhead", file=sys.stderr)
        yield run.overhead_s


def main() -> int:
    """Ours before and after the peer's, so that a machine that drifts shows."""
    ours: dict[str, list[float]] = {}
    peer = float("nan")
    with tempfile.TemporaryDirectory() as folder:
        for half in ("before", "after"):
            for model, seconds in overheads(Path(folder) / half):
                ours.setdefault(model, []).append(seconds)
            if half == "before":
                peer = statistics.median(peer_overheads())
    medians = {model: statistics.median(values) for model, values in ours.items()}
    for model, values in ours.items():
        print(f"{model}: median {medians[model]:.3f} s, {min(values):.3f} to {max(values):.3f} s", file=sys.stderr)
    worst = max(medians.values())
    peers = {"optimum-benchmark 0.6.0": peer}
    return finish(
        [
            Figure(benchmark="trial_overhead", value=worst, unit="s", bound=BOUND_S, peers=peers),
            Figure(
                benchmark="trial_overhead_against_peer",
                value=peer / medians["bert"],
                unit="times less",
                bound=PEER_TIMES,
                at_most=False,
                peers=peers,
            ),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
