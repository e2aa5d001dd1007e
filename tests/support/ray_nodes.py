"""Several machines on one host: each has its own id, name, state, lock and ports."""

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
from tests.support.network_namespaces import Plug

COMMAND = [sys.executable, "-m", "coordinator"]

FAST_HEALTH = {
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "300",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}
"""Settings of a head with which a node that died is noticed after a second instead of fourteen."""

_AS_HOST = 'echo "$0" > /proc/sys/kernel/hostname && exec "$@"'


def free_base(first: int = 20000) -> int:
    """Return the first port of a node whose ports are all free and below those that the kernel assigns."""
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
    """A machine made of environment variables, and of a network namespace where it has a plug."""

    folder: Path
    cache: Path
    name: str
    more: dict[str, str] = field(default_factory=dict)
    base: int = field(default_factory=free_base)
    plug: Plug | None = None

    def environment(self) -> dict[str, str]:
        """Return the environment of everything that runs on the machine."""
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
            # Also where the tests run in a container.
            "JOULEFLEET_ENVIRONMENT": "bare",
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
        return kept | own | self.more

    @property
    def state(self) -> Path:
        """State folder of the machine."""
        return self.folder / "state"

    @property
    def address(self) -> str:
        """HOST:PORT of the machine as a head."""
        return f"{'127.0.0.1' if self.plug is None else self.plug.address}:{self.base}"

    @property
    def program(self) -> list[str]:
        """Command line of `joulefleet` on the machine; with a plug, under a hostname of its own."""
        if self.plug is None:
            return COMMAND
        return [*self.plug.inside, "unshare", "--uts", "sh", "-c", _AS_HOST, self.name, *COMMAND]

    def up(self, *arguments: str, token: Path | None = None) -> NodeRecord:
        """Start its node; `token` is the head's, to be copied. Return what `up` has recorded."""
        if token is not None:
            self.copy_token(token)
        listen = () if self.plug is None else ("--listen", self.plug.address)
        done = self.command("node", "up", *arguments, "--port-base", str(self.base), *listen)
        assert done.returncode == 0, done.stderr
        return self.up_record()

    def copy_token(self, token: Path) -> None:
        """Copy the head's token to this machine."""
        self.state.mkdir(parents=True, exist_ok=True)
        shutil.copy(token, self.state / "ray-token")

    def up_record(self) -> NodeRecord:
        """Return what `up` has recorded."""
        record = read_record(self.state)
        assert record is not None
        return record

    def die(self) -> None:
        """End all processes of its node at once, as a power failure does; the record stays."""
        number = self.up_record().session
        end(lambda: session(number), grace_s=0)

    def down(self) -> None:
        """End its node."""
        done = self.command("node", "down")
        assert done.returncode == 0, done.stderr

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `joulefleet ARGUMENTS` on the machine."""
        return subprocess.run(
            [*self.program, *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def begin(self, *arguments: str, folder: Path, output: Path) -> subprocess.Popen[str]:
        """Start `joulefleet ARGUMENTS` on the machine, in `folder`; its output goes to the file `output`."""
        with output.open("w") as stream:
            return subprocess.Popen(
                [*self.program, *arguments],
                env=self.environment(),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                text=True,
            )
