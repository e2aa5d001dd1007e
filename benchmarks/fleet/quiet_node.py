"""What a quiet node costs the machine that it measures: CPU of all its processes while its agent is in a trial.

A head and a node on this machine, both by `joulefleet node up`; an agent joins and is blocked in a
call, as it is in a trial, so that neither work nor sensors hide what Ray costs. The peer is a node by
plain `ray start` with its defaults, of a cluster of its own, idle, in the same seconds.
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
from benchmarks.harness.reporting import Figure, finish
from coordinator.cluster.interface import Command, Fetch, Joined
from coordinator.cluster.ray import RayCluster
from coordinator.cluster.ray.node.processes import ProcessKey, end, session

BOUND_PERCENT = 0.8
BOUND_ONE_PERCENT = 50.0
"""A process above this spins."""

SETTLE_S = 15.0
WINDOW_S = 60.0
STORE = "quiet-node"
RAY = str(Path(sys.executable).with_name("ray"))


@contextmanager
def plain(*arguments: str) -> Iterator[int]:
    """A node by `ray start`, with its defaults; its session."""
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


def blocked_agent(stack: ExitStack, head: str, state: Path) -> None:
    """An agent on the one node, in a call that it never ends: it reads a pipe into which nobody writes."""
    outbox = state / "outbox" / STORE
    outbox.mkdir(parents=True)
    os.mkfifo(outbox / "pipe.parquet")
    cluster = RayCluster(Command(store_id=STORE, epoch=1), head)
    stack.callback(cluster.close)
    while not (joined := [change for change in cluster.changes() if isinstance(change, Joined)]):
        cluster.answers(1.0)
    cluster.start(joined[0].node, Fetch(attempt_id="pipe"))


def cpu_s(keys: list[ProcessKey]) -> dict[ProcessKey, float]:
    """The CPU seconds of processes: by their clocks, exact, where /proc counts in ticks of 10 ms."""
    found = {}
    for key in keys:
        try:
            found[key] = time.clock_gettime_ns((~key.pid << 3) | 2) / 1e9
        except OSError:
            continue
    return found


def percents(before: Mapping[ProcessKey, float], after: Mapping[ProcessKey, float], wall_s: float) -> list[float]:
    """Of every process, percent of one core; those that came meanwhile count from their start."""
    used = {key: 100 * (seconds - before.get(key, 0.0)) / wall_s for key, seconds in after.items()}
    for key, percent in sorted(used.items(), key=lambda pair: -pair[1]):
        print(f"  {percent:6.3f} %  {key.name} {key.pid}", file=sys.stderr)
    return list(used.values())


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as test:
        test.bind(("127.0.0.1", 0))
        port: int = test.getsockname()[1]
        return port


def main() -> int:
    """Both nodes in the same seconds."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        base = Path(folder)
        head = stack.enter_context(node(base / "head", "--head", "--port-base", "21000"))
        token = base / "head" / "ray-token"
        join = ("--join", head.head, "--port-base", "21100")
        ours = stack.enter_context(node(base / "node", *join, token=token))
        os.environ["JOULEFLEET_STATE"] = str(base / "head")
        blocked_agent(stack, head.head, base / "node")
        port = free_port()
        stack.enter_context(plain("--head", f"--port={port}"))
        address = socket.gethostbyname(socket.gethostname())
        peer = stack.enter_context(plain(f"--address={address}:{port}"))
        time.sleep(SETTLE_S)
        began = time.monotonic()
        before = cpu_s(session(ours.session)), cpu_s(session(peer))
        time.sleep(WINDOW_S)
        after = cpu_s(session(ours.session)), cpu_s(session(peer))
        wall_s = time.monotonic() - began
    print(f"joulefleet node up, its agent in a call, {wall_s:.0f} s:", file=sys.stderr)
    quiet = percents(before[0], after[0], wall_s)
    print("ray start, idle:", file=sys.stderr)
    loud = percents(before[1], after[1], wall_s)
    peers = {"ray start 2.60.0, defaults": sum(loud)}
    return finish(
        [
            Figure(benchmark="quiet_node", value=sum(quiet), unit="% of a core", bound=BOUND_PERCENT, peers=peers),
            Figure(benchmark="quiet_node_one_process", value=max(quiet), unit="% of a core", bound=BOUND_ONE_PERCENT),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
