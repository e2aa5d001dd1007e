"""Asks a head about its cluster, in a process of its own.

Ray waits for a head for minutes, repeats its message every second, and may end the process that
asks. A separate process can be limited in time, and its output can be read.
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
"""Time after which a head that has not answered is given up, seconds."""

_WRONG_TOKEN = ("Unauthenticated", "InvalidAuthToken", "AuthenticationError")
_PREFIX = "joulefleet-probe "


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbedNode:
    """A live node of a cluster."""

    node_id: str
    address: str
    """HOST:PORT of its node manager."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbedCluster:
    """What a head says about its cluster."""

    session: str
    """Name of its session: a head that was started anew has another one."""
    nodes: tuple[ProbedNode, ...]
    here: frozenset[str]
    """Ids of the nodes of any cluster that run on this machine."""


def probe(address: str, environment: Mapping[str, str], *, answer_s: float = ANSWER_S) -> ProbedCluster:
    """Ask the head at `address` about its cluster.

    Raises MachineError for a wrong token, for other versions of Ray or Python, and for no answer in `answer_s` seconds.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, address],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        output = _output(process, ends_s=time.monotonic() + answer_s)
    finally:
        process.kill()
        process.wait()
    if any(word in output for word in _WRONG_TOKEN):
        raise MachineError(
            f"the head at {address} does not accept this token.",
            cure="Copy the token from the machine of the head again (`joulefleet node up --head` says where it is), "
            "or name its file with --token-file or $RAY_AUTH_TOKEN_PATH.",
        )
    for line in output.splitlines():
        if line.startswith(_PREFIX):
            return _checked(address, json.loads(line.removeprefix(_PREFIX)))
    # Ray's lines begin with the time and the source file in brackets.
    last = next((line.rpartition("] ")[2] for line in reversed(output.splitlines()) if line.strip()), "")
    raise MachineError(
        f"the head at {address} gave no answer in {answer_s:.0f} s" + (f" ({last.strip()[:200]})." if last else "."),
        cure="Check that a head listens there, and that TLS is used on both sides or on neither.",
    )


def _output(process: subprocess.Popen[bytes], *, ends_s: float) -> str:
    """Return what the process prints until it ends, has met a wrong token, or the time is over."""
    assert process.stdout is not None
    text = ""
    with selectors.DefaultSelector() as selector, process.stdout as output:
        selector.register(output, selectors.EVENT_READ)
        while selector.select(max(0.0, ends_s - time.monotonic())):
            data = os.read(output.fileno(), 65536)
            text += data.decode(errors="replace")
            if not data or any(word in text for word in _WRONG_TOKEN):
                break
    return text


def _checked(address: str, answer: Mapping[str, Any]) -> ProbedCluster:
    own_ray, own_python = answer["own_ray"], ".".join(platform.python_version_tuple()[:2])
    python = ".".join(answer["python"].split(".")[:2])
    if (answer["ray"], python) != (own_ray, own_python):
        raise MachineError(
            f"the head at {address} runs Ray {answer['ray']} on Python {python}, this machine Ray {own_ray} on "
            f"Python {own_python}.",
            cure="Install the same versions on both: constraints.txt names them.",
        )
    return ProbedCluster(
        session=answer["session"],
        nodes=tuple(ProbedNode(**node) for node in answer["nodes"]),
        here=frozenset(answer["here"]),
    )


def _main(address: str) -> None:
    import ray
    import ray._private.ray_constants
    import ray._private.services
    import ray._raylet

    # Ray has no public way to ask a head without joining its cluster.
    private: Any = ray._private  # noqa: SLF001  # see above
    raylet: Any = ray._raylet  # noqa: SLF001  # see above
    client = raylet.GcsClient(address=address)
    metadata = json.loads(client.internal_kv_get(b"CLUSTER_METADATA", private.ray_constants.KV_NAMESPACE_CLUSTER))
    nodes = client.get_all_node_info(timeout=ANSWER_S).values()
    answer = {
        "own_ray": ray.__version__,
        "ray": metadata["ray_version"],
        "python": metadata["python_version"],
        "session": client.internal_kv_get(b"session_name", private.ray_constants.KV_NAMESPACE_SESSION).decode(),
        "nodes": [
            {"node_id": node.node_id.hex(), "address": f"{node.node_manager_address}:{node.node_manager_port}"}
            for node in nodes
            if node.state == 0
        ],
        "here": sorted(private.services.find_node_ids()),
    }
    sys.stdout.write(_PREFIX + json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        _main(sys.argv[1])
    os._exit(0)
