"""CPU time of the process that samples while a model works, against three peers.

Joulefleet's sampler is the agent's own loop between two marks, with every sensor that an attempt opens:
energy, process and machine at 10 Hz, gauges at 1 Hz. Each sampler is a process of its own; they take turns beside
the same working process. Energy counters, temperatures and frequencies are read from a copy of a tree
of tests/machines, so that machines without them have a figure too; a real energy counter costs a microsecond
or two more a read. Processes, machine and pressure are read from this machine's /proc.

psutil reads temperatures and frequencies of this machine, where it has any. CodeCarbon samples
CPU load and memory once a second, whatever its period; perun adds the machine's memory and load.
"""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copytree
from typing import Any

from agent.config import AgentSetup
from agent.runner.conversation import Conversation
from agent.runner.protocol import Disconnected, LineSocket
from agent.trial.sensor_set import open_sensors
from benchmarks.harness.figures import Figure
from benchmarks.harness.program import ROOT, BenchmarkRun, run_program
from benchmarks.peers.environments import ensure_environment
from benchmarks.peers.sampling_driver import cost

BOUND_PERCENT = 0.25
ROUNDS = 3
STRETCH_S = 15.0
SETTLE_S = 1.0
FAST_S, SLOW_S = 0.1, 1.0

DRIVER = ROOT / "benchmarks/peers/sampling_driver.py"
MACHINE = ROOT / "tests/machines/two-packages-with-dram/sys"

SAMPLE = "import sys; from benchmarks.measurement.sampling_cost import sample; sample(sys.argv[1])"

WORK = """
import torch
from transformers import BertConfig, BertModel

torch.set_num_threads(1)
torch.manual_seed(0)
sizes = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024}
model = BertModel(BertConfig(vocab_size=1000, **sizes)).eval()
tokens = torch.randint(0, 1000, (1, 32))
print("working", flush=True)
with torch.inference_mode():
    while True:
        model(tokens)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """One way to sample: its name, its command, and what the command gets as JSON."""

    name: str
    command: tuple[str, ...]
    peer: str = ""
    options: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Use of a sampler over one stretch of time."""

    percent: float
    """CPU time by the process's own clock, percent of one core."""
    ticks_percent: float
    """The same by user and system time."""
    switches_hz: float


def sample(request: str) -> None:
    """Open and poll the sensors of an attempt, until the parent is gone."""
    options = json.loads(request)
    setup = AgentSetup(sysfs_root=Path(options["sysfs"]))
    sensors = open_sensors("powercap", setup, period_s=FAST_S)
    sensors.watch(options["pid"], setup, period_s=FAST_S)
    sensors.recorder.mark()
    lines = LineSocket(socket.socket(fileno=options["socket"]))
    conversation = Conversation(lines, os.memfd_create("output"))
    deadline = math.inf

    def due_s() -> float:
        return min(deadline - time.monotonic(), sensors.recorder.poll())

    lines.send({"note": ", ".join(readings.channel.name for readings in sensors.recorder.readings())})
    while True:
        try:
            conversation.next_mark(due_s=due_s)
        except Disconnected:
            return
        lines.send(cost())


@contextmanager
def working() -> Iterator[int]:
    """Start the process that works; yield its id."""
    with subprocess.Popen([sys.executable, "-c", WORK], stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None or not process.stdout.readline():
                raise SystemExit("the working process did not start")
            yield process.pid
        finally:
            process.kill()


@contextmanager
def sampling(sampler: Sampler, pid: int, sysfs: Path) -> Iterator[LineSocket]:
    """Start a sampler; yield the socket on which it reports its cost.

    Whoever reads the socket gets Disconnected where the sampler ends by itself.
    """
    ours, theirs = socket.socketpair()
    request = {"peer": sampler.peer, "pid": pid, "sysfs": str(sysfs), "socket": theirs.fileno()}
    with tempfile.TemporaryDirectory() as workdir:
        process = subprocess.Popen(
            [*sampler.command, json.dumps(request | {"options": sampler.options})],
            cwd=workdir,
            # An empty home: no settings are read there, and no files are left behind.
            env=os.environ | {"HOME": workdir, "PYTHONPATH": str(ROOT)},
            pass_fds=[theirs.fileno()],
            stdout=sys.stderr,
            start_new_session=True,
        )
        theirs.close()
        try:
            yield LineSocket(ours)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            ours.close()


def stretch_of(sampler: Sampler, pid: int, sysfs: Path, run: BenchmarkRun) -> tuple[Stretch, str]:
    """Let the sampler run for one stretch; return its use, and the sampler's own list of what it reads."""
    with sampling(sampler, pid, sysfs) as lines:
        note = str(lines.receive()["note"])
        time.sleep(run.size(SETTLE_S, 0.1))
        before = reported_cost(lines)
        time.sleep(run.size(STRETCH_S, 0.5))
        after = reported_cost(lines)
    used = {key: after[key] - before[key] for key in before}
    stretch = Stretch(
        percent=100 * used["clock_s"] / used["now_s"],
        ticks_percent=100 * used["ticks_s"] / used["now_s"],
        switches_hz=used["switches"] / used["now_s"],
    )
    return stretch, note


def reported_cost(lines: LineSocket) -> dict[str, Any]:
    """Return what the sampler has used so far."""
    lines.send({"mark": "cost"})
    return lines.receive()


def samplers(run: BenchmarkRun) -> list[Sampler]:
    """Return all samplers; the first is Joulefleet's."""
    driver = str(DRIVER)
    rates = {"fast_s": FAST_S, "slow_s": SLOW_S}
    own = [
        Sampler(name="joulefleet", command=(sys.executable, "-c", SAMPLE)),
        # -I: the modules beside the driver have the peers' names.
        Sampler(name="psutil 7.2.2", command=(sys.executable, "-I", driver), peer="psutil", options=rates),
    ]
    if run.leaves_out("the peers codecarbon and perun: they need downloaded environments of their own"):
        return own
    codecarbon, perun = ((str(ensure_environment(name)), "-I", driver) for name in ("codecarbon", "perun"))
    return [
        *own,
        Sampler(name="codecarbon 3.3.2, 15 s", command=codecarbon, peer="codecarbon", options={"period_s": 15}),
        Sampler(name="codecarbon 3.3.2, 1 s", command=codecarbon, peer="codecarbon", options={"period_s": 1}),
        Sampler(name="perun 1.0.0, 1 s", command=perun, peer="perun", options={"period_s": 1}),
    ]


def stretches_of_all(sysfs: Path, run: BenchmarkRun) -> dict[str, list[Stretch]]:
    """Measure every sampler once a round, and the first once more at the end; return their stretches by name."""
    all_samplers = samplers(run)
    stretches: dict[str, list[Stretch]] = {}
    with working() as pid:
        for sampler in [*(all_samplers * run.size(ROUNDS, 1)), all_samplers[0]]:
            try:
                stretch, note = stretch_of(sampler, pid, sysfs, run)
            except Disconnected:
                print(f"{sampler.name}: it ended by itself, so there is no figure", file=sys.stderr)
                continue
            if sampler.name not in stretches:
                print(f"{sampler.name} samples: {note}", file=sys.stderr)
            stretches.setdefault(sampler.name, []).append(stretch)
    return stretches


def median(stretches: list[Stretch], value: Callable[[Stretch], float]) -> float:
    """Return the median of one of their values."""
    return statistics.median(value(stretch) for stretch in stretches)


def benchmark(run: BenchmarkRun) -> list[Figure]:
    """Measure, and print a line for each sampler."""
    with tempfile.TemporaryDirectory() as folder:
        sysfs = Path(copytree(MACHINE, Path(folder) / "sys", symlinks=True))
        by_name = stretches_of_all(sysfs, run)
    for name, stretches in by_name.items():
        percents = [stretch.percent for stretch in stretches]
        print(
            f"{name:23} {statistics.median(percents):7.4f} % of one core,"
            f" {min(percents):.4f} to {max(percents):.4f},"
            f" {median(stretches, lambda s: s.ticks_percent):.3f} by ticks;"
            f" {median(stretches, lambda s: s.switches_hz):6.1f} context switches a second",
            file=sys.stderr,
        )
    medians = {name: median(stretches, lambda s: s.percent) for name, stretches in by_name.items()}
    value = medians.pop("joulefleet")
    return [Figure(benchmark="sampling_cost", value=value, unit="% of one core", bound=BOUND_PERCENT, peers=medians)]


if __name__ == "__main__":
    sys.exit(run_program(__doc__, benchmark))
