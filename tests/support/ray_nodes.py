"""Several nodes on one host, each a machine of its own: its id, name, state, lock and ports."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.cluster.ray.node.processes import end, session
from coordinator.cluster.ray.node.spec import Ports
from coordinator.cluster.ray.node.state import NodeRecord, read_record
from tests.support.network import Plug

COMMAND = [sys.executable, "-m", "coordinator"]

FAST_HEALTH = {
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "300",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}
"""Of a head: a node that died is noticed after a second, not after fourteen."""

_AS_HOST = 'echo "$0" > /proc/sys/kernel/hostname && exec "$@"'


def free_base(first: int = 20000) -> int:
    """The first of the ports of a node that are all free, below those that the kernel gives away."""
    for base in range(first + secrets.randbelow(200) * 40, 32000, 40):
        if all(_free(port) for port in Ports(base=base).all(is_head=True)):
            return base
    raise LookupError("no free ports")


def _free(port: int) -> bool:
    with socket.socket() as test:
        test.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            test.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeMachine:
    """A machine that exists as environment variables, and as a network namespace where it has a plug."""

    folder: Path
    cache: Path
    name: str
    more: dict[str, str] = field(default_factory=dict)
    base: int = field(default_factory=free_base)
    plug: Plug | None = None

    def environment(self) -> dict[str, str]:
        """Of all that runs on it."""
        self.folder.mkdir(exist_ok=True)
        identity = self.folder / "machine-id"
        if not identity.exists():
            identity.write_text(secrets.token_hex(16))
        own = {
            "JOULEFLEET_STATE": str(self.state),
            "JOULEFLEET_CACHE": str(self.cache),
            "JOULEFLEET_HOST_FOLDER": str(self.folder),
            "JOULEFLEET_MACHINE_ID_FILE": str(identity),
            "JOULEFLEET_MACHINE_NAME": self.name,
            # Even where the tests run in a container: here it is the host.
            "JOULEFLEET_ENVIRONMENT": "bare",
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
        return kept | own | self.more

    @property
    def state(self) -> Path:
        """Its state folder."""
        return self.folder / "state"

    @property
    def address(self) -> str:
        """Its address, where it is a head."""
        return f"{'127.0.0.1' if self.plug is None else self.plug.address}:{self.base}"

    @property
    def program(self) -> list[str]:
        """What runs `joulefleet` on it; with a plug under a host name of its own."""
        if self.plug is None:
            return COMMAND
        return [*self.plug.inside, "unshare", "--uts", "sh", "-c", _AS_HOST, self.name, *COMMAND]

    def up(self, *arguments: str, token: Path | None = None) -> NodeRecord:
        """Start its node, with a copy of the head's token."""
        if token is not None:
            self.take(token)
        listen = () if self.plug is None else ("--listen", self.plug.address)
        done = self.command("node", "up", *arguments, "--port-base", str(self.base), *listen)
        assert done.returncode == 0, done.stderr
        return self.up_record()

    def take(self, token: Path) -> None:
        """Keep a copy of the head's token."""
        self.state.mkdir(parents=True, exist_ok=True)
        shutil.copy(token, self.state / "ray-token")

    def up_record(self) -> NodeRecord:
        """What `up` has written."""
        record = read_record(self.state)
        assert record is not None
        return record

    def die(self) -> None:
        """End all processes of its node at once, as when its power fails; what `up` has written stays."""
        number = self.up_record().session
        end(lambda: session(number), grace_s=0)

    def down(self) -> None:
        """End its node."""
        done = self.command("node", "down")
        assert done.returncode == 0, done.stderr

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`joulefleet ARGUMENTS` on it."""
        return subprocess.run(
            [*self.program, *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def begin(self, *arguments: str, folder: Path, said: Path) -> subprocess.Popen[str]:
        """Begin `joulefleet ARGUMENTS` on it, in `folder`; its words go to the file `said`."""
        with said.open("w") as output:
            return subprocess.Popen(
                [*self.program, *arguments],
                env=self.environment(),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
