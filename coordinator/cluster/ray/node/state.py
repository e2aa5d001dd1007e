"""The record of a node that `joulefleet node up` started: a file, so that `down` ends exactly that."""

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

    boot_id: str | None
    """The kernel's id of the boot in which it was started."""
    head: str
    """HOST:PORT of the cluster's head."""
    folder: str
    """Folder of everything that Ray writes: sockets, logs."""
    session: int
    """Session of all its processes: the id of the process that started them."""
    raylet: ProcessKey
    processes: tuple[ProcessKey, ...]
    access: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that tell Ray where token and certificates are. They hold no secret."""


def read_record(state: Path) -> NodeRecord | None:
    """Return the record in the state folder; None where there is none. Raises MachineError."""
    path = state / FILE
    try:
        fields = json.loads(path.read_bytes())
        keys = [ProcessKey(**key) for key in fields.pop("processes")]
        return NodeRecord(**{**fields, "raylet": ProcessKey(**fields["raylet"]), "processes": tuple(keys)})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MachineError(
            f"{path}: the record of this machine's node cannot be read ({error}).",
            cure="Find the processes of Ray (ps -ef | grep raylet), end them by hand, and delete the file.",
        ) from error


def write_record(state: Path, record: NodeRecord) -> None:
    """Write `record` durably. Raises OSError."""
    state.mkdir(parents=True, exist_ok=True)
    write_durably(state / FILE, json.dumps(asdict(record), indent=2).encode() + b"\n")


def delete_record(state: Path) -> None:
    """Delete the record: there is no node any more."""
    (state / FILE).unlink(missing_ok=True)
