"""How a node is to be started: its addresses, ports and arguments, and what is refused. Pure."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from coordinator.cluster.ray.settings import AGENT_RESOURCE, OBJECT_STORE_BYTES
from joulefleet.errors import MachineError

PORT_BASE = 6379
"""Ray's own port of a head. A node takes it and those that follow."""

_WORKER_PORTS = 20
"""An agent needs one, and each coordinator of the machine."""

_MOST_FOLDER_CHARACTERS = 40
"""The path of a Unix socket has 107 characters, of which Ray needs 66 below the folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports of a node, all fixed, so that a firewall can be written."""

    base: int

    @property
    def head(self) -> int:
        """The control server: every node and coordinator connects to it."""
        return self.base

    @property
    def named(self) -> Mapping[str, int]:
        """Options of `ray start` and their ports. The last three only listen where ray[default] is installed."""
        names = (
            "node-manager",
            "object-manager",
            "runtime-env-agent",
            "dashboard-agent-listen",
            "dashboard-agent-grpc",
        )
        return {f"--{name}-port": self.base + 1 + number for number, name in enumerate((*names, "metrics-export"))}

    @property
    def workers(self) -> tuple[int, int]:
        """Of agents and coordinators, first and last."""
        return self.base + 10, self.base + 10 + _WORKER_PORTS - 1

    def all(self, *, is_head: bool) -> list[int]:
        """All of them."""
        first, last = self.workers
        return [*([self.head] if is_head else []), *self.named.values(), *range(first, last + 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The files of a node's certificate, its key, and the authority that all trust."""

    cert: Path
    key: Path
    ca: Path

    def environment(self) -> dict[str, str]:
        """As Ray takes it. Raises MachineError where a file cannot be read."""
        names = {"RAY_TLS_SERVER_CERT": self.cert, "RAY_TLS_SERVER_KEY": self.key, "RAY_TLS_CA_CERT": self.ca}
        for path in names.values():
            try:
                path.read_bytes()
            except OSError as error:
                raise MachineError(
                    f"{path}: cannot be read ({error.strerror}).",
                    cure="--tls takes three files: this node's certificate, its key, and the authority's certificate.",
                ) from error
        return {"RAY_USE_TLS": "1"} | {name: str(path.absolute()) for name, path in names.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """A node to be started. `join` is the head's HOST:PORT, None for a head."""

    join: str | None
    listen: str
    ports: Ports
    measures: bool

    @property
    def head(self) -> str:
        """HOST:PORT of the head."""
        return self.join or f"{self.listen}:{self.ports.head}"

    @property
    def address(self) -> str:
        """The node's own HOST:PORT in its cluster."""
        return f"{self.listen}:{self.ports.named['--node-manager-port']}"

    def check(self, *, with_token: bool, towards_head: str | None) -> None:
        """Raise MachineError for what would be open to strangers, or out of reach.

        `towards_head` is the address of this machine that the head would see.
        """
        try:
            address = ipaddress.ip_address(self.listen)
        except ValueError as error:
            raise MachineError(
                f"--listen {self.listen}: not an address.", cure="Give an IP address of this machine."
            ) from error
        if address.is_unspecified:
            raise MachineError(
                f"--listen {self.listen}: the other nodes could not reach that.",
                cure="Give the address by which they reach this machine.",
            )
        if not address.is_loopback and not with_token:
            raise MachineError(
                f"--listen {self.listen} without a token: anyone who reaches that address could run programs here.",
                cure="Unset $RAY_AUTH_MODE, so that a token is used.",
            )
        if address.is_loopback and towards_head is not None and not ipaddress.ip_address(towards_head).is_loopback:
            raise MachineError(
                f"the head at {self.join} could not reach a node that listens on {self.listen}.",
                cure=f"Add --listen {towards_head}, the address of this machine on the way there.",
            )

    def arguments(self, folder: Path) -> list[str]:
        """The arguments of `ray start`."""
        first, last = self.ports.workers
        place = [f"--address={self.join}"]
        if self.join is None:
            # Without the dashboard's page its process is still there, and its port is of no use to anybody.
            place = ["--head", f"--port={self.ports.head}", "--include-dashboard=false", "--no-monitor"]
        return [
            "start",
            *place,
            f"--node-ip-address={self.listen}",
            *(f"{option}={port}" for option, port in self.ports.named.items()),
            f"--min-worker-port={first}",
            f"--max-worker-port={last}",
            f"--num-cpus={int(self.measures)}",
            f"--resources={json.dumps({AGENT_RESOURCE: 1} if self.measures else {})}",
            f"--object-store-memory={OBJECT_STORE_BYTES}",
            "--include-log-monitor=false",
            "--disable-usage-stats",
            f"--temp-dir={folder}",
        ]


def check_folder(folder: Path) -> None:
    """Raise MachineError where Ray's sockets in `folder` would have names that are too long."""
    if len(str(folder)) > _MOST_FOLDER_CHARACTERS:
        raise MachineError(
            f"{folder}: too long a name for the folder of a node.", cure="Name a shorter one in $TMPDIR, /tmp say."
        )
