"""What `joulefleet node up` started: kept in a file, so that `down` ends exactly that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from coordinator.cluster.ray.node.processes import ProcessKey
from joulefleet.durable import write_durably
from joulefleet.errors import MachineError

FILE = "ray-node.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """A node of this machine."""

    boot_id: str
    head: str
    """HOST:PORT of the cluster's head."""
    folder: str
    """Everything Ray writes: sockets, logs."""
    session: int
    """The session of all its processes: the id of the process that started them."""
    raylet: ProcessKey
    processes: tuple[ProcessKey, ...]
    access: Mapping[str, str] = field(default_factory=dict)
    """Where token and certificates are: environment variables as Ray reads them. No secret itself."""


def read_record(state: Path) -> NodeRecord | None:
    """The record in the state folder; None where there is none. Raises MachineError."""
    path = state / FILE
    try:
        found = json.loads(path.read_bytes())
        keys = [ProcessKey(**key) for key in found.pop("processes")]
        return NodeRecord(**{**found, "raylet": ProcessKey(**found["raylet"]), "processes": tuple(keys)})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MachineError(
            f"{path}: what it says of this machine's node cannot be read ({error}).",
            cure="Look at it and at the processes of Ray (ps -ef | grep raylet), end them by hand, and delete it.",
        ) from error


def write_record(state: Path, record: NodeRecord) -> None:
    """Keep `record`. Raises OSError."""
    state.mkdir(parents=True, exist_ok=True)
    write_durably(state / FILE, json.dumps(asdict(record), indent=2).encode() + b"\n")


def delete_record(state: Path) -> None:
    """There is no node any more."""
    (state / FILE).unlink(missing_ok=True)
