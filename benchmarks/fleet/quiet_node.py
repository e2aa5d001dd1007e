"""CPU that a quiet node costs its machine: while its agent is in a trial, and at rest between two runs.

A head and a node on this machine, both by `joulefleet node up`. For the first figure an agent joins and is
blocked in a call, as it is in a trial, so that neither work nor sensors hide the cost of Ray. For the second
the run has ended and its coordinator has left. The peer is a node by plain `ray start` with its defaults, in
an idle cluster of its own, in the same seconds.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.fleet.nodes import node
from benchmarks.harness.figures import Figure
from benchmarks.harness.processes import cpu_clock_s
from benchmarks.harness.program import BenchmarkRun, run_program
from coordinator.cluster.interface import Command, Fetch, Joined
from coordinator.cluster.ray import RayCluster
from coordinator.cluster.ray.node.processes import ProcessKey, end, session

IN_TRIAL_PERCENT = 0.8
AT_REST_PERCENT = 0.7
ONE_PROCESS_PERCENT = 50.0
"""A process above this is in a busy loop."""

SETTLE_S = 15.0
WINDOW_S = 60.0
STORE = "quiet-node"
OURS = "joulefleet node up"
PEER = "ray start 2.60.0, defaults"
RAY = str(Path(sys.executable).with_name("ray"))


@contextmanager
def plain(*arguments: str) -> Iterator[int]:
    """Start a node by `ray start` with its defaults; yield the id of its session."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    process = subprocess.Popen(
        [RAY, "start", *arguments], env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        if process.wait(60):
            raise SystemExit(f"ray start {' '.join(arguments)} failed")
        yield process.pid
    finally:
        end(lambda: session(process.pid), grace_s=5)


@contextmanager
def blocked_agent(head: str, state: Path) -> Iterator[None]:
    """Keep an agent on the one node in a call that never ends: it reads a pipe into which nobody writes."""
    outbox = state / "outbox" / STORE
    outbox.mkdir(parents=True)
    os.mkfifo(outbox / "pipe.parquet")
    cluster = RayCluster(Command(store_id=STORE, epoch=1), head)
    try:
        while not (joined := [change for change in cluster.changes() if isinstance(change, Joined)]):
            cluster.answers(1.0)
        cluster.start(joined[0].node, Fetch(attempt_id="pipe"))
        yield
    finally:
        cluster.close()


def cpu_s(keys: list[ProcessKey]) -> dict[ProcessKey, float]:
    """Return the CPU seconds of the processes that still run."""
    seconds = {}
    for key in keys:
        try:
            seconds[key] = cpu_clock_s(key.pid)
        except OSError:
            continue
    return seconds


def percents(before: Mapping[ProcessKey, float], after: Mapping[ProcessKey, float], wall_s: float) -> list[float]:
    """Print and return the use of every process, percent of one core; a new one counts from its start."""
    used = {key: 100 * (seconds - before.get(key, 0.0)) / wall_s for key, seconds in after.items()}
    for key, percent in sorted(used.items(), key=lambda pair: -pair[1]):
        print(f"  {percent:6.3f} %  {key.name} {key.pid}", file=sys.stderr)
    return list(used.values())


def watched(sessions: Mapping[str, int], run: BenchmarkRun) -> dict[str, list[float]]:
    """Return the use of each process of each session over one window, percent of one core."""
    time.sleep(run.size(SETTLE_S, 0.5))
    began = time.monotonic()
    before = {name: cpu_s(session(number)) for name, number in sessions.items()}
    time.sleep(run.size(WINDOW_S, 1.0))
    after = {name: cpu_s(session(number)) for name, number in sessions.items()}
    wall_s = time.monotonic() - began
    used = {}
    for name in sessions:
        print(f"{name}, {wall_s:.0f} s:", file=sys.stderr)
        used[name] = percents(before[name], after[name], wall_s)
    return used


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.socket() as test:
        test.bind(("127.0.0.1", 0))
        port: int = test.getsockname()[1]
        return port


def benchmark(run: BenchmarkRun) -> list[Figure]:
    """Watch both nodes in the same seconds, with an agent in a trial and after the run."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        base = Path(folder)
        head = stack.enter_context(node(base / "head", "--head", "--port-base", "21000"))
        token = base / "head" / "ray-token"
        join = ("--join", head.head, "--port-base", "21100")
        quiet = stack.enter_context(node(base / "node", *join, token=token))
        os.environ["JOULEFLEET_STATE"] = str(base / "head")
        sessions = {OURS: quiet.session}
        if not run.leaves_out("the peer ray start: its two nodes take longer to start than the rest"):
            port = free_port()
            stack.enter_context(plain("--head", f"--port={port}"))
            address = socket.gethostbyname(socket.gethostname())
            sessions[PEER] = stack.enter_context(plain(f"--address={address}:{port}"))
        with blocked_agent(head.head, base / "node"):
            print("with an agent in a trial", file=sys.stderr)
            in_trial = watched(sessions, run)
        print("between two runs", file=sys.stderr)
        at_rest = watched(sessions, run)
    return [
        _figure("quiet_node", in_trial, IN_TRIAL_PERCENT),
        _figure("quiet_node_between_runs", at_rest, AT_REST_PERCENT),
        Figure(
            benchmark="quiet_node_one_process",
            value=max(*in_trial[OURS], *at_rest[OURS]),
            unit="% of a core",
            bound=ONE_PROCESS_PERCENT,
        ),
    ]


def _figure(name: str, used: Mapping[str, list[float]], bound: float) -> Figure:
    totals = {session_name: sum(several) for session_name, several in used.items()}
    return Figure(benchmark=name, value=totals.pop(OURS), unit="% of a core", bound=bound, peers=totals)


if __name__ == "__main__":
    sys.exit(run_program(__doc__, benchmark))
