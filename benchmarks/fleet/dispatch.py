"""The time that a machine waits for its next trial: real Ray, eight nodes on this machine, trials that do nothing.

A real campaign writes into a real store. Each node has a simulated agent, which answers at once with a row
that was made before from one real measurement. The gap is the time from the end of one call to the start of
the next on the same node: it leaves out the agent's own work, and includes the work that the coordinator does
for the other seven nodes meanwhile. The peer is Ray alone: one such agent, which gets its next call as soon
as it has answered.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

from agent.config import AgentSetup, state_folder
from agent.results.row import attempt_row
from agent.runner.discovery import Offer
from agent.runner.pool import RunnerPool
from agent.service import AgentHello, versions
from agent.state.outbox import parquet_bytes
from agent.trial.measure import measure, prepare
from benchmarks.fleet.nodes import node
from benchmarks.harness.figures import Figure, ratio
from benchmarks.harness.program import BenchmarkRun, run_program
from benchmarks.harness.studies import TINY_BERT, TINY_DISTILBERT, pinned_study
from coordinator.campaign.campaign import Campaign
from coordinator.cluster.interface import Call, Command, Joined, Prepare, Run
from coordinator.cluster.ray import RayCluster
from coordinator.cluster.ray.overhead import CoordinatorProcess
from coordinator.store.writer import open_store
from joulefleet.machine import Machine
from joulefleet.measurement import Outcome
from joulefleet.plan.design import Design
from joulefleet.plan.expand import Pinned
from joulefleet.plan.trial import Trial

BOUND_TIMES = 40.0
"""Largest ratio: a wait of 50 ms where Ray alone needs 1.25 ms."""
NODES = 8
REPETITIONS = 15
PEER_CALLS = 200
PEER = "ray 2.60.0 alone, one node"

# Nodes inherit the variables of the process that starts them, and agents those of their node.
ROWS_VARIABLE = "DISPATCH_ROWS"
ENVIRONMENT_VARIABLE = "DISPATCH_ENVIRONMENT"


def study_text(repetitions: int) -> str:
    """Return the study; with two models, two tasks, and `repetitions`."""
    return f"""
name: dispatch
regime: burst
repetitions: {repetitions}
models:
  big: {TINY_BERT}
  small: {TINY_DISTILBERT}
tasks:
  one: {{preset: sst2, items: {{synthetic: {{count: 4}}}}}}
  two: {{preset: mnli, items: {{synthetic: {{count: 4}}}}}}
pairs:
  tiny: {{teacher: big, student: small}}
factors: {{threads: [1]}}
measure:
  baseline_s: 0.02
  warm_up: {{at_least_s: 0, at_most_s: 0}}
  window: {{passes: 300}}
  cool_down: {{fixed_s: 0, at_most_s: 0}}
"""


def machine_named(name: str) -> Machine:
    """Return a machine of which only the name matters."""
    return Machine(
        machine_id=name,
        name=name,
        cpu_model="none",
        sockets=1,
        physical_cores=1,
        logical_cpus=1,
        memory_bytes=1,
        virtualised=True,
    )


class ReadyAgent:
    """An agent that measures nothing. It has the methods of `AgentActor`."""

    def __init__(self, *, in_fleet: bool) -> None:
        self._rows = Path(os.environ[ROWS_VARIABLE])
        self._times = state_folder() / "times"

    def hello(self, command: Command, coordinator: CoordinatorProcess) -> AgentHello:
        """Introduce a machine named after its state folder, in the environment that the study resolved to."""
        name = state_folder().name
        machine = machine_named(name)
        return AgentHello(
            machine=machine,
            boot_id="boot",
            host=name,
            pid=os.getpid(),
            versions=versions(),
            waiting=(),
            offers=(Offer(label=os.environ[ENVIRONMENT_VARIABLE], cpus=1, cpu_limit=None),),
            clock_s=time.time(),
        )

    def end(self, command: Command) -> None:
        """Stay: the cluster ends the processes of its actors."""

    def obey(self, call: Call, command: Command) -> bytes | None:
        """Return the row of a trial, and note when the call began and ended."""
        began = time.monotonic()
        if not isinstance(call, Run):
            return None
        data = (self._rows / call.trial.attempt_id).read_bytes()
        with self._times.open("a", encoding="ascii") as file:
            file.write(json.dumps([began, time.monotonic(), len(data)]) + "\n")
        return data


class ReadyCluster(RayCluster):
    """A fleet of such agents."""

    def agent_class(self) -> type[Any]:
        """Return the class of the agents."""
        return ReadyAgent


def trials(pinned: Pinned, machine_id: str, store_id: str) -> list[Trial]:
    """Return all trials of a machine."""
    design = Design(pinned, store_id=store_id)
    return [trial for block in design.blocks(machine_id, design.passes({})) for trial in block.trials]


def measured(trial: Trial, folder: Path) -> Outcome:
    """Run a trial in this process and return its outcome."""
    setup = AgentSetup(state=folder, cache=folder / "cache", lock_folders=lambda: (folder,))
    pool = RunnerPool(own=setup.environment, folder=setup.runners)
    try:
        prepare(trial.protocol.model, trial.protocol.task, setup, pool)
        return measure(trial, setup, pool)
    finally:
        pool.discard()


def make_rows(folder: Path, pinned: Pinned, machine_ids: Sequence[str], store_id: str) -> Trial:
    """Write the row of every trial of these machines into `folder`; return one of the trials."""
    folder.mkdir()
    (first, *_) = trials(pinned, machine_ids[0], store_id)
    outcome = measured(first, folder.with_name("measured"))
    for machine_id in machine_ids:
        machine = machine_named(machine_id)
        for trial in trials(pinned, machine_id, store_id):
            row = attempt_row(trial, outcome, machine=machine, environment=None, boot_id="boot", sysfs_root=None)
            (folder / trial.attempt_id).write_bytes(parquet_bytes(row))
    return first


def times(state: Path) -> list[tuple[float, float, int]]:
    """Return begin and end of each trial on a node, seconds, and the size of its row, bytes."""
    return [tuple(json.loads(line)) for line in (state / "times").read_text(encoding="ascii").splitlines()]


def gaps(state: Path) -> Iterator[float]:
    """Yield the seconds from the end of each trial to the start of the next."""
    return (after[0] - before[1] for before, after in pairwise(times(state)))


def peer_gaps(head: str, trial: Trial, state: Path, *, nodes: int, calls: int) -> list[float]:
    """Return the gaps of one agent that Ray alone calls: nothing is decided and nothing is stored."""
    cluster = ReadyCluster(Command(store_id="peer", epoch=1), head)
    try:
        joined: list[Joined] = []
        while len(joined) < nodes:
            joined += [change for change in cluster.changes() if isinstance(change, Joined)]
            cluster.answers(0.1)
        node_id = next(change.node for change in joined if change.hello.host == state.name)
        (state / "times").unlink(missing_ok=True)
        cluster.start(node_id, Prepare(work=()))
        for _ in range(calls):
            while not cluster.answers(1.0):
                pass
            cluster.start(node_id, Run(trial=trial))
        while not cluster.answers(1.0):
            pass
        return list(gaps(state))
    finally:
        cluster.close()


def benchmark(run: BenchmarkRun) -> list[Figure]:
    """Measure the peer first, then the campaign on the same nodes, then the peer again."""
    nodes, calls = run.size(NODES, 1), run.size(PEER_CALLS, 5)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        base = Path(folder)
        pinned = pinned_study(study_text(run.size(REPETITIONS, 2)), "dispatch", base)
        store = stack.enter_context(open_store(base / "store", study="dispatch"))
        states = [base / f"node-{number}" for number in range(nodes)]
        trial = make_rows(base / "rows", pinned, [state.name for state in states], store.store_id)
        os.environ[ROWS_VARIABLE] = str(base / "rows")
        # A study that names no environment gets the one in which the coordinator runs.
        (os.environ[ENVIRONMENT_VARIABLE],) = pinned.study.environments
        head = stack.enter_context(node(base / "head", "--head", "--port-base", "22000"))
        for number, state in enumerate(states, start=1):
            join = ("--join", head.head, "--port-base", str(22000 + 40 * number))
            stack.enter_context(node(state, *join, token=base / "head" / "ray-token"))
        os.environ["JOULEFLEET_STATE"] = str(base / "head")
        peer = peer_gaps(head.head, trial, states[0], nodes=nodes, calls=calls)
        (states[0] / "times").unlink()
        cluster = ReadyCluster(Command(store_id=store.store_id, epoch=store.epoch), head.head)
        try:
            ended = Campaign(cluster, store, pinned, on_event=lambda event: None, should_stop=lambda: False).run()
        finally:
            cluster.close()
        waits = [gap for state in states for gap in gaps(state)]
        sizes = [size for state in states for _, _, size in times(state)]
        peer += peer_gaps(head.head, trial, states[0], nodes=nodes, calls=calls)
    print(
        f"{ended.ok} trials on {nodes} nodes, rows of {statistics.median(sizes) / 1e3:.0f} KB; gap: median "
        f"{1e3 * statistics.median(waits):.1f} ms, 90 % below {1e3 * statistics.quantiles(waits, n=10)[-1]:.1f} ms; "
        f"Ray alone, one node: {1e3 * statistics.median(peer):.1f} ms",
        file=sys.stderr,
    )
    return [
        ratio("dispatch", statistics.median(waits), statistics.median(peer), peer=PEER, unit="s", bound=BOUND_TIMES)
    ]


if __name__ == "__main__":
    sys.exit(run_program(__doc__, benchmark))
