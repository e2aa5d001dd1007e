"""Nodes of a fleet on this one machine, each with a state folder and a machine id of its own."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness.processes import JOULEFLEET
from coordinator.cluster.ray.node.state import NodeRecord, read_record


@contextmanager
def node(state: Path, *arguments: str, token: Path | None = None) -> Iterator[NodeRecord]:
    """Start a node by `joulefleet node up`, with a state folder and a machine id of its own; stop it at the end."""
    state.mkdir()
    identity = state / "machine-id"
    identity.write_text(secrets.token_hex(16))
    environment = os.environ | {"JOULEFLEET_STATE": str(state), "JOULEFLEET_MACHINE_ID_FILE": str(identity)}
    # Even where the benchmark runs in a container: that container plays the host of this node.
    environment["JOULEFLEET_ENVIRONMENT"] = "bare"
    more = [] if token is None else ["--token-file", str(token)]
    subprocess.run([JOULEFLEET, "node", "up", *arguments, *more], env=environment, check=True)
    try:
        record = read_record(state)
        assert record is not None
        yield record
    finally:
        subprocess.run([JOULEFLEET, "node", "down"], env=environment, check=True)
