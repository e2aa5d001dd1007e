"""What sampling costs while a model works: CPU time of the process that samples, beside three peers.

Ours is the agent's own loop, between two marks: every sensor that an attempt opens, energy, process
and machine at 10 Hz, gauges at 1 Hz. Each sampler is a process of its own, in turn, beside one and the
same working process. Energy counters, temperatures and frequencies are read from a machine of
tests/machines, so that machines without them have a figure too: a real energy counter costs a
microsecond or two more a read. Processes, machine and pressure are read from this machine's /proc.

psutil reads temperatures and frequencies of this machine, where it has any. CodeCarbon samples
CPU load and memory once a second, whatever its period, and perun adds the machine's memory and load.
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
from typing import Any

from agent.config import AgentSetup
from agent.runner.conversation import Conversation
from agent.runner.protocol import Disconnected, LineSocket
from agent.trial.sensor_set import open_sensors
from benchmarks.harness.reporting import Figure, finish
from benchmarks.peers.environments import ensure_environment
from benchmarks.peers.sampling_driver import cost
from tests.support.machines import unpack_machine

BOUND_PERCENT = 0.25
ROUNDS = 3
STRETCH_S = 15.0
SETTLE_S = 1.0
FAST_S, SLOW_S = 0.1, 1.0

ROOT = Path(__file__).resolve().parents[2]
DRIVER = ROOT / "benchmarks/peers/sampling_driver.py"
MACHINE = "two-packages-with-dram"

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
    """One way to sample: its process's Python and script, and what it is asked."""

    name: str
    command: tuple[str, ...]
    peer: str = ""
    options: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What a sampler used in one stretch."""

    percent: float
    """CPU time by the process's own clock, percent of one core."""
    ticks_percent: float
    """The same by user and system time."""
    switches_hz: float


def sample_as_the_agent_does(pid: int, sysfs: Path, descriptor: int) -> None:
    """Open and poll what an attempt opens and polls, until the parent is gone."""
    setup = AgentSetup(sysfs_root=sysfs)
    sensors = open_sensors("powercap", setup, period_s=FAST_S)
    sensors.watch(pid, setup, period_s=FAST_S)
    sensors.recorder.mark()
    lines = LineSocket(socket.socket(fileno=descriptor))
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
    """The process that works, by its id."""
    with subprocess.Popen([sys.executable, "-c", WORK], stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None or not process.stdout.readline():
                raise SystemExit("the working process did not start")
            yield process.pid
        finally:
            process.kill()


@contextmanager
def sampling(sampler: Sampler, pid: int, sysfs: Path) -> Iterator[LineSocket]:
    """The sampler at work, and the socket on which it tells its cost. Raises Disconnected where it ends by itself."""
    ours, theirs = socket.socketpair()
    asked = {"peer": sampler.peer, "pid": pid, "sysfs": str(sysfs), "socket": theirs.fileno()}
    with tempfile.TemporaryDirectory() as workdir:
        process = subprocess.Popen(
            [*sampler.command, json.dumps(asked | {"options": sampler.options})],
            cwd=workdir,
            # Nobody's settings, and no files left in anybody's home.
            env=os.environ | {"HOME": workdir},
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


def measure(sampler: Sampler, pid: int, sysfs: Path) -> tuple[Stretch, str]:
    """One stretch of the sampler, and what it says it samples."""
    with sampling(sampler, pid, sysfs) as lines:
        note = str(lines.receive()["note"])
        time.sleep(SETTLE_S)
        before = asked_cost(lines)
        time.sleep(STRETCH_S)
        after = asked_cost(lines)
    used = {key: after[key] - before[key] for key in before}
    stretch = Stretch(
        percent=100 * used["clock_s"] / used["now_s"],
        ticks_percent=100 * used["ticks_s"] / used["now_s"],
        switches_hz=used["switches"] / used["now_s"],
    )
    return stretch, note


def asked_cost(lines: LineSocket) -> dict[str, Any]:
    """What the sampler has used so far."""
    lines.send({"mark": "cost"})
    return lines.receive()


def samplers() -> tuple[Sampler, list[Sampler]]:
    """Ours, and the peers."""
    python = {name: str(ensure_environment(name, ROOT / ".peers" / name)) for name in ("codecarbon", "perun")}
    driver = str(DRIVER)
    rates = {"fast_s": FAST_S, "slow_s": SLOW_S}
    # -I: the modules beside the driver have the peers' names.
    psutil, codecarbon, perun = (
        (each, "-I", driver) for each in (sys.executable, python["codecarbon"], python["perun"])
    )
    return Sampler(
        name="joulefleet", command=(sys.executable, "-m", "benchmarks.measurement.sampling_cost", "sample")
    ), [
        Sampler(name="psutil 7.2.2", command=psutil, peer="psutil", options=rates),
        Sampler(name="codecarbon 3.3.2, 15 s", command=codecarbon, peer="codecarbon", options={"period_s": 15}),
        Sampler(name="codecarbon 3.3.2, 1 s", command=codecarbon, peer="codecarbon", options={"period_s": 1}),
        Sampler(name="perun 1.0.0, 1 s", command=perun, peer="perun", options={"period_s": 1}),
    ]


def rounds(sysfs: Path) -> tuple[str, dict[str, list[Stretch]]]:
    """Every sampler once a round, and ours once more at the end; our name first."""
    ours, peers = samplers()
    found: dict[str, list[Stretch]] = {}
    with working() as pid:
        for sampler in [*([ours, *peers] * ROUNDS), ours]:
            try:
                stretch, note = measure(sampler, pid, sysfs)
            except Disconnected:
                print(f"{sampler.name}: it ended by itself, so there is no figure", file=sys.stderr)
                continue
            if sampler.name not in found:
                print(f"{sampler.name} samples: {note}", file=sys.stderr)
            found.setdefault(sampler.name, []).append(stretch)
    return ours.name, found


def median(stretches: list[Stretch], of: Callable[[Stretch], float]) -> float:
    """The median of one of their numbers."""
    return statistics.median(of(stretch) for stretch in stretches)


def main() -> int:
    """Measure, and print a line for each sampler."""
    if sys.argv[1:2] == ["sample"]:
        asked = json.loads(sys.argv[2])
        sample_as_the_agent_does(asked["pid"], Path(asked["sysfs"]), asked["socket"])
        return 0
    with tempfile.TemporaryDirectory() as folder:
        sysfs = unpack_machine(MACHINE, Path(folder) / "machine") / "sys"
        name, found = rounds(sysfs)
    for sampler, stretches in found.items():
        percents = [stretch.percent for stretch in stretches]
        print(
            f"{sampler:23} {statistics.median(percents):7.4f} % of one core,"
            f" {min(percents):.4f} to {max(percents):.4f},"
            f" {median(stretches, lambda s: s.ticks_percent):.3f} by ticks;"
            f" {median(stretches, lambda s: s.switches_hz):6.1f} context switches a second",
            file=sys.stderr,
        )
    medians = {sampler: median(stretches, lambda s: s.percent) for sampler, stretches in found.items()}
    value = medians.pop(name)
    return finish(
        [
            Figure(
                benchmark="sampling_cost",
                value=value,
                unit="% of one core",
                bound=BOUND_PERCENT,
                peers=medians,
            )
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
