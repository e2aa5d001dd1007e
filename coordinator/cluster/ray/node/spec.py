"""What a node is: its addresses, ports and arguments, and which of them are refused. Reads nothing but certificates."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from coordinator.cluster.ray.settings import AGENT_RESOURCE, OBJECT_STORE_BYTES
from joulefleet.errors import MachineError

PORT_BASE = 6379
"""First port of a node by default: Ray's own default port of a head."""

_WORKER_PORTS = 20
"""Number of ports for agents and coordinators; each takes one."""

_MOST_FOLDER_CHARACTERS = 40
"""Longest path of a node's folder: a Unix socket's path may have 107 characters, and Ray adds 66 to the folder's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports of a node. All are fixed, so that rules for a firewall can be written."""

    base: int
    """The first one."""

    @property
    def head(self) -> int:
        """Port of the control server, to which every node and coordinator connects."""
        return self.base

    @property
    def named(self) -> Mapping[str, int]:
        """Ports by option of `ray start`. The last three listen only where ray[default] is installed."""
        names = (
            "node-manager",
            "object-manager",
            "runtime-env-agent",
            "dashboard-agent-listen",
            "dashboard-agent-grpc",
            "metrics-export",
        )
        return {f"--{name}-port": self.base + 1 + number for number, name in enumerate(names)}

    @property
    def workers(self) -> tuple[int, int]:
        """First and last port of agents and coordinators."""
        return self.base + 10, self.base + 10 + _WORKER_PORTS - 1

    def all(self, *, is_head: bool) -> list[int]:
        """Return every port of a node."""
        first, last = self.workers
        return [*([self.head] if is_head else []), *self.named.values(), *range(first, last + 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The files of a node's certificate, of its key, and of the certificate of the authority that all nodes trust."""

    cert: Path
    key: Path
    ca: Path

    def environment(self) -> dict[str, str]:
        """Return Ray's environment variables for them. Raises MachineError where a file cannot be read."""
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
    """A node to be started."""

    join: str | None
    """HOST:PORT of the head to join; None for a head."""
    listen: str
    """IP address of this machine on which the node listens."""
    ports: Ports
    measures: bool
    """Whether the node gets an agent."""

    @property
    def head(self) -> str:
        """HOST:PORT of the cluster's head."""
        return self.join or f"{self.listen}:{self.ports.head}"

    @property
    def address(self) -> str:
        """HOST:PORT by which the cluster knows the node."""
        return f"{self.listen}:{self.ports.named['--node-manager-port']}"

    def check(self, *, with_token: bool, towards_head: str | None) -> None:
        """Raise MachineError where the node would be open to strangers, or out of reach of the others.

        `towards_head` is the address of this machine that the head sees.
        """
        try:
            address = ipaddress.ip_address(self.listen)
        except ValueError as error:
            raise MachineError(
                f"--listen {self.listen}: not an IP address.", cure="Give an IP address of this machine."
            ) from error
        if address.is_unspecified:
            raise MachineError(
                f"--listen {self.listen}: other nodes cannot connect to that address.",
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
        """Return the arguments of `ray start`; `folder` is for everything that Ray writes."""
        first, last = self.ports.workers
        place = [f"--address={self.join}"]
        if self.join is None:
            # The process of the dashboard starts all the same, but without its web page.
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
    """Raise MachineError where the paths of Ray's sockets in `folder` would be too long."""
    if len(str(folder)) > _MOST_FOLDER_CHARACTERS:
        raise MachineError(
            f"{folder}: the path is too long for the folder of a node.",
            cure="Set $TMPDIR to a shorter one, such as /tmp.",
        )
