"""Asks a head who is there, in a process of its own.

Ray waits for a head for minutes, says the same thing every second, and may end the process that
asks. A process of its own can be given a time, and its words be read.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joulefleet.errors import MachineError

ANSWER_S = 30.0
"""A head that has not answered by then does not speak with us."""

_WRONG_TOKEN = ("Unauthenticated", "InvalidAuthToken", "AuthenticationError")
_MARK = "joulefleet-probe "


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbedNode:
    """A live node of a cluster."""

    node_id: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What a head says of its cluster."""

    ray: str
    python: str
    cluster: str
    """The name of its session: a head that was started anew has another."""
    nodes: tuple[ProbedNode, ...]
    here: frozenset[str]
    """The ids of the nodes of any cluster that run on this machine."""


def probe(address: str, environment: Mapping[str, str], *, answer_s: float = ANSWER_S) -> Probed:
    """Ask the head at `address`. Raises MachineError: wrong token, other versions, no answer in `answer_s`."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, address],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        said = _listen(process, ends=time.monotonic() + answer_s)
    finally:
        process.kill()
        process.wait()
    if any(word in said for word in _WRONG_TOKEN):
        raise MachineError(
            f"the head at {address} does not accept this token.",
            cure="Copy the token from the machine of the head again (`joulefleet node up --head` says where it is), "
            "or name its file with --token-file or $RAY_AUTH_TOKEN_PATH.",
        )
    for line in said.splitlines():
        if line.startswith(_MARK):
            return _checked(address, json.loads(line.removeprefix(_MARK)))
    # Ray's lines begin with time and place in brackets.
    last = next((line.rpartition("] ")[2] for line in reversed(said.splitlines()) if line.strip()), "")
    raise MachineError(
        f"the head at {address} gave no answer in {answer_s:.0f} s" + (f" ({last.strip()[:200]})." if last else "."),
        cure="See that it is a head of `joulefleet node up` or Ray, and that TLS is used on both sides or on none.",
    )


def cluster_at(address: str) -> str:
    """The cluster whose head is at `address` now. Raises MachineError."""
    return probe(address, os.environ).cluster


def _listen(process: subprocess.Popen[bytes], *, ends: float) -> str:
    """What the probe says until it has said enough, has ended, or the time is over."""
    assert process.stdout is not None
    said = ""
    with selectors.DefaultSelector() as selector, process.stdout as output:
        selector.register(output, selectors.EVENT_READ)
        while selector.select(max(0.0, ends - time.monotonic())):
            data = os.read(output.fileno(), 65536)
            said += data.decode(errors="replace")
            if not data or any(word in said for word in _WRONG_TOKEN):
                break
    return said


def _checked(address: str, found: Mapping[str, Any]) -> Probed:
    own_ray, own_python = found["own_ray"], ".".join(platform.python_version_tuple()[:2])
    python = ".".join(found["python"].split(".")[:2])
    if (found["ray"], python) != (own_ray, own_python):
        raise MachineError(
            f"the head at {address} runs Ray {found['ray']} on Python {python}, this machine Ray {own_ray} on "
            f"Python {own_python}.",
            cure="Install the same versions on both: constraints.txt names them.",
        )
    return Probed(
        ray=found["ray"],
        python=python,
        cluster=found["cluster"],
        nodes=tuple(ProbedNode(**node) for node in found["nodes"]),
        here=frozenset(found["here"]),
    )


def _main(address: str) -> None:
    import ray
    import ray._private.ray_constants
    import ray._private.services
    import ray._raylet

    # Ray has no public way to ask a head without becoming a part of its cluster.
    private: Any = ray._private  # noqa: SLF001  # see above
    raylet: Any = ray._raylet  # noqa: SLF001  # see above
    client = raylet.GcsClient(address=address)
    metadata = json.loads(client.internal_kv_get(b"CLUSTER_METADATA", private.ray_constants.KV_NAMESPACE_CLUSTER))
    nodes = client.get_all_node_info(timeout=ANSWER_S).values()
    answer = {
        "own_ray": ray.__version__,
        "ray": metadata["ray_version"],
        "python": metadata["python_version"],
        "cluster": client.internal_kv_get(b"session_name", private.ray_constants.KV_NAMESPACE_SESSION).decode(),
        "nodes": [
            {"node_id": node.node_id.hex(), "address": f"{node.node_manager_address}:{node.node_manager_port}"}
            for node in nodes
            if node.state == 0
        ],
        "here": sorted(private.services.find_node_ids()),
    }
    sys.stdout.write(_MARK + json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        _main(sys.argv[1])
    os._exit(0)
