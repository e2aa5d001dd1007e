"""A fleet of containers by Compose: the services of docker/compose.yaml, with one agent service for each machine."""

from __future__ import annotations

import copy
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from joulefleet import __version__
from tests.containers.engine import Engine
from tests.support.wait import until

COMPOSE = Path(__file__).parents[2] / "docker" / "compose.yaml"
_USER = 10001


def compose_command() -> list[str]:
    """Return the command of docker-compose 1.29, or of the plugin of newer engines."""
    return ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]


@dataclass(kw_only=True)
class ContainerFleet:
    """Containers of one Compose project. `machines` maps a name to what its service adds to the file's `agent`."""

    host: Engine
    folder: Path
    machines: Mapping[str, Mapping[str, Any]]
    powercap: Path | None = None
    """A powercap tree to mount, for all of them."""
    study: str = "steady"
    project: str = field(default_factory=lambda: f"joulefleet{secrets.token_hex(3)}")

    def __post_init__(self) -> None:
        self.folder.chmod(0o755)  # the run is another user, and reads its study there
        self.token = secrets.token_hex(32)
        (self.folder / "token").write_text(self.token)
        (self.folder / "token").chmod(0o444)
        store = self.folder / "store"
        store.mkdir(exist_ok=True)
        os.chown(store, _USER, 0)
        for name in self.machines:
            for part in ("state", "host"):
                (self.of(name) / part).mkdir(parents=True, exist_ok=True)
            (self.of(name) / "machine-id").write_text(secrets.token_hex(16) + "\n")
        self._file = self.folder / "compose.json"
        self._services = self._made()
        self._file.write_text(json.dumps(self._services, indent=1))

    def of(self, machine: str) -> Path:
        """Return the folder of a machine."""
        return self.folder / "machines" / machine

    def change(self, how: Callable[[dict[str, Any]], object]) -> None:
        """Change the Compose file before it is used."""
        how(self._services)
        self._file.write_text(json.dumps(self._services, indent=1))

    def _made(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(json.dumps(YAML(typ="safe").load(COMPOSE.read_text())))
        services = found["services"]
        agent = services.pop("agent")
        services.pop("runner")
        for name, more in self.machines.items():
            services[name] = self._agent(name, agent) | copy.deepcopy(dict(more))
        found["volumes"]["results"] = {
            "driver": "local",
            "driver_opts": {"type": "none", "o": "bind", "device": str(self.folder / "store")},
        }
        return found

    def _agent(self, name: str, agent: dict[str, Any]) -> dict[str, Any]:
        own = copy.deepcopy(agent)
        there = self.of(name)
        places = {
            "/var/lib/joulefleet": str(there / "state"),
            "/run/joulefleet": str(there / "host"),
            "/host/machine-id": str(there / "machine-id"),
            "/host/powercap": None if self.powercap is None else str(self.powercap),
        }
        mounts = []
        for mount in own["volumes"]:
            target = next((place for place in places if re.search(rf":{place}(:ro)?$", mount)), None)
            if target is None:
                mounts.append(mount)
            elif places[target] is not None:
                mounts.append(f"{places[target]}:{target}{':ro' if mount.endswith(':ro') else ''}")
        own["volumes"] = mounts
        own["environment"] = {**own["environment"], "JOULEFLEET_MACHINE_NAME": name}
        return own

    def compose(self, *arguments: str, timeout_s: float = 300) -> str:
        """Run a command of Compose and return its output."""
        command = [*compose_command(), "-f", str(self._file), "-p", self.project, *arguments]
        extra = {"JOULEFLEET_TOKEN_FILE": str(self.folder / "token"), "JOULEFLEET_STUDY": f"/studies/{self.study}.yaml"}
        extra["JOULEFLEET_STUDIES"] = str(self.folder)
        done = self.host.run(command, extra={"JOULEFLEET_TAG": __version__, **extra}, timeout_s=timeout_s)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def up(self, *services: str) -> None:
        """Start services."""
        self.compose("up", "-d", *services)

    def container(self, service: str) -> str:
        """Return the id of a service's container."""
        return self.compose("ps", "-q", service).strip()

    def inspect(self, service: str, field: str) -> str:
        """Return a field of `docker inspect`."""
        return self.host.docker("inspect", "--format", f"{{{{{field}}}}}", self.container(service))

    def logs(self, service: str) -> str:
        """Return all that a service's container has written, over all its restarts."""
        done = self.host.run([self.host.client, "logs", self.container(service)])
        return done.stdout + done.stderr

    def kill(self, service: str) -> None:
        """Kill every process of a container, as a crash would; its restart policy applies."""
        os.kill(int(self.inspect(service, ".State.Pid")), 9)

    def cut(self, service: str) -> None:
        """Disconnect a container from the network."""
        self.host.docker("network", "disconnect", f"{self.project}_fleet", self.container(service))

    def heal(self, service: str) -> None:
        """Connect it again."""
        self.host.docker("network", "connect", "--alias", service, f"{self.project}_fleet", self.container(service))

    def ended(self, machine: str) -> int:
        """Return how many trials of `machine` the run has reported as ended."""
        return len(re.findall(rf"^{machine}: \[.*: ok, ", self.logs("run"), re.MULTILINE))

    def until_said(self, service: str, pattern: str, *, seconds: float = 180) -> None:
        """Wait for a line of a service that `pattern` matches."""
        until(
            lambda: re.search(pattern, self.logs(service), re.MULTILINE) is not None,
            seconds=seconds,
            why=lambda: f"{pattern!r} of {service}:\n{self.logs(service)[-6000:]}\nrun:\n{self.logs('run')[-3000:]}",
        )

    def until_more(self, machine: str, more: int, *, seconds: float = 240) -> None:
        """Wait until `machine` has ended so many trials more than now."""
        wanted = self.ended(machine) + more
        until(
            lambda: self.ended(machine) >= wanted or self.run_is_over(),
            seconds=seconds,
            why=lambda: f"{wanted} trials of {machine}:\n{self.logs('run')[-6000:]}\n{self.logs(machine)[-2000:]}",
        )
        assert self.ended(machine) >= wanted, self.logs("run")[-6000:]

    def run_is_over(self) -> bool:
        """Tell whether the run has ended for good."""
        status, code = self.inspect("run", ".State.Status"), self.inspect("run", ".State.ExitCode")
        return status == "exited" and (code == "0" or self.inspect("run", ".RestartCount") == "3")

    def wait(self, *, seconds: float = 600) -> int:
        """Wait for the end of the run and return its exit code."""
        until(self.run_is_over, seconds=seconds, why=lambda: self.logs("run")[-6000:])
        return int(self.inspect("run", ".State.ExitCode"))

    def inside(self, service: str, *command: str) -> str:
        """Run a command inside a service's container and return its output."""
        return self.host.docker("exec", self.container(service), *command)

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Return the answer of `joulefleet sql` inside the head."""
        found: list[dict[str, Any]] = json.loads(self.inside("head", "joulefleet", "sql", "--format", "json", query))
        return found


@contextmanager
def running(fleet: ContainerFleet, services: Sequence[str] = ()) -> Iterator[ContainerFleet]:
    """Start the fleet, and remove all of it after the block."""
    try:
        fleet.up(*services)
        yield fleet
    finally:
        fleet.compose("down", "--volumes", "--timeout", "5")
