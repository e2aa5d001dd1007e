"""How long a machine waits for its next trial: real Ray, eight nodes on this machine, trials that do nothing.

A real campaign with a real store. On each node an agent whose answers are at hand: rows with what
one real trial has measured, made before. The gap is from the end of one call to the beginning of the
next on the same node, so what the agent itself takes is not in it, and what seven others ask of the
coordinator at the same time is. The peer is Ray alone: one agent that is given its next call as soon
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
from benchmarks.harness.reporting import Figure, finish
from coordinator.campaign.campaign import Campaign
from coordinator.cluster.interface import Call, Command, Joined, Prepare, Run
from coordinator.cluster.ray import RayCluster
from coordinator.cluster.ray.overhead import CoordinatorProcess
from coordinator.planning.resolve import resolve
from coordinator.store.writer import open_store
from joulefleet.machine import Machine
from joulefleet.measurement import Outcome
from joulefleet.plan.design import Design
from joulefleet.plan.expand import Pinned
from joulefleet.plan.trial import Trial
from joulefleet.study.load import study_of
from joulefleet.yamlfile.reader import parse_yaml

BOUND_S = 0.050
NODES = 8
PEER_CALLS = 200
ROWS_VARIABLE = "DISPATCH_ROWS"

STUDY = """
name: dispatch
regime: burst
repetitions: 15
models:
  big:
    architecture:
      model_type: bert
      config: {vocab_size: 2000, hidden_size: 32, num_hidden_layers: 4, num_attention_heads: 2, intermediate_size: 64}
  small:
    architecture:
      model_type: distilbert
      config: {vocab_size: 2000, dim: 32, n_layers: 2, n_heads: 2, hidden_dim: 64}
tasks:
  one: {preset: sst2, items: {synthetic: {count: 4}}}
  two: {preset: mnli, items: {synthetic: {count: 4}}}
pairs:
  tiny: {teacher: big, student: small}
factors: {threads: [1]}
measure:
  baseline_s: 0.02
  warm_up: {at_least_s: 0, at_most_s: 0}
  window: {passes: 300}
  cool_down: {fixed_s: 0, at_most_s: 0}
"""


def machine_named(name: str) -> Machine:
    """A machine that is nothing but a name."""
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
    """An agent that measures nothing. See `AgentActor` for what it stands for."""

    def __init__(self) -> None:
        self._rows = Path(os.environ[ROWS_VARIABLE])
        self._times = state_folder() / "times"

    def hello(self, command: Command, coordinator: CoordinatorProcess) -> AgentHello:
        """A machine that is named by its state folder."""
        name = state_folder().name
        machine = machine_named(name)
        return AgentHello(
            machine=machine,
            boot_id="boot",
            host=name,
            pid=os.getpid(),
            versions=versions(),
            waiting=(),
            offers=(Offer(label="bare", cpus=1, cpu_limit=None),),
            clock_s=time.time(),
        )

    def obey(self, call: Call, command: Command) -> bytes | None:
        """The row of this trial."""
        began = time.monotonic()
        if not isinstance(call, Run):
            return None
        data = (self._rows / call.trial.attempt_id).read_bytes()
        with self._times.open("a", encoding="ascii") as file:
            file.write(json.dumps([began, time.monotonic(), len(data)]) + "\n")
        return data


class ReadyCluster(RayCluster):
    """A fleet of them."""

    def agent_class(self) -> type[Any]:
        """See `RayCluster`."""
        return ReadyAgent


def trials(pinned: Pinned, machine_id: str, store_id: str) -> list[Trial]:
    """All trials of a machine."""
    design = Design(pinned, store_id=store_id)
    return [trial for block in design.blocks(machine_id, design.passes({})) for trial in block.trials]


def measured(trial: Trial, folder: Path) -> Outcome:
    """The outcome of a real trial."""
    setup = AgentSetup(state=folder, cache=folder / "cache", lock_folders=lambda: (folder,))
    pool = RunnerPool()
    try:
        prepare(trial.protocol.model, trial.protocol.task, setup, pool)
        return measure(trial, setup, pool)
    finally:
        pool.discard()


def make_rows(folder: Path, pinned: Pinned, machine_ids: Sequence[str], store_id: str) -> Trial:
    """Write the row of every trial of these machines; one of the trials."""
    folder.mkdir()
    (some, *_) = trials(pinned, machine_ids[0], store_id)
    outcome = measured(some, folder.with_name("measured"))
    for machine_id in machine_ids:
        machine = machine_named(machine_id)
        for trial in trials(pinned, machine_id, store_id):
            row = attempt_row(trial, outcome, machine=machine, environment=None, boot_id="boot", sysfs_root=None)
            (folder / trial.attempt_id).write_bytes(parquet_bytes(row))
    return some


def times(state: Path) -> list[tuple[float, float, int]]:
    """Begin and end of each trial on a node, and the bytes of its row."""
    return [tuple(json.loads(line)) for line in (state / "times").read_text(encoding="ascii").splitlines()]


def gaps(state: Path) -> Iterator[float]:
    """From the end of each trial to the beginning of the next, seconds."""
    return (after[0] - before[1] for before, after in pairwise(times(state)))


def peer_gaps(head: str, trial: Trial, state: Path) -> list[float]:
    """One agent, driven by Ray alone: nothing is decided and nothing is kept."""
    cluster = ReadyCluster(Command(store_id="peer", epoch=1), head)
    try:
        found: list[Joined] = []
        while len(found) < NODES:
            found += [change for change in cluster.changes() if isinstance(change, Joined)]
            cluster.answers(0.1)
        one = next(change.node for change in found if change.hello.host == state.name)
        (state / "times").unlink(missing_ok=True)
        cluster.start(one, Prepare(work=()))
        for _ in range(PEER_CALLS):
            while not cluster.answers(1.0):
                pass
            cluster.start(one, Run(trial=trial))
        cluster.answers(1.0)
        return list(gaps(state))
    finally:
        cluster.close()


def main() -> int:
    """The peer first, then the campaign on the same nodes."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        base = Path(folder)
        pinned = resolve(study_of(parse_yaml(STUDY, name="dispatch"), name="dispatch"), base)
        store = stack.enter_context(open_store(base / "store", study="dispatch"))
        states = [base / f"node-{number}" for number in range(NODES)]
        trial = make_rows(base / "rows", pinned, [state.name for state in states], store.store_id)
        os.environ[ROWS_VARIABLE] = str(base / "rows")
        head = stack.enter_context(node(base / "head", "--head", "--port-base", "22000"))
        for number, state in enumerate(states, start=1):
            join = ("--join", head.head, "--port-base", str(22000 + 40 * number))
            stack.enter_context(node(state, *join, token=base / "head" / "ray-token"))
        os.environ["JOULEFLEET_STATE"] = str(base / "head")
        peer = peer_gaps(head.head, trial, states[0])
        (states[0] / "times").unlink()
        cluster = ReadyCluster(Command(store_id=store.store_id, epoch=store.epoch), head.head)
        try:
            ended = Campaign(cluster, store, pinned, on_event=lambda event: None, should_stop=lambda: False).run()
        finally:
            cluster.close()
        found = [gap for state in states for gap in gaps(state)]
        sizes = [size for state in states for _, _, size in times(state)]
    worst = statistics.quantiles(found, n=10)[-1]
    print(
        f"{ended.ok} trials on {NODES} nodes, rows of {statistics.median(sizes) / 1e3:.0f} KB; gap: median "
        f"{1e3 * statistics.median(found):.1f} ms, 90 % below {1e3 * worst:.1f} ms; Ray alone, one node: "
        f"{1e3 * statistics.median(peer):.1f} ms",
        file=sys.stderr,
    )
    peers = {"ray 2.60.0 alone, one node": statistics.median(peer)}
    return finish([Figure(benchmark="dispatch", value=statistics.median(found), unit="s", bound=BOUND_S, peers=peers)])


if __name__ == "__main__":
    sys.exit(main())
