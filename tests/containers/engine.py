"""An engine for tests: the Docker that runs here, or a daemon of our own for as long as the tests last."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

DEBIANS_CLIENT = "/usr/bin/docker"
"""Where a machine has several clients, that of its daemon."""

LONGEST_FOLDER = 60
"""Characters: the kernel ends the path of a Unix socket at 108, and containerd's lies deep."""

START_S = 60.0
STOP_S = 60.0
"""A daemon that is told to end gives its containers ten seconds."""


class EngineError(Exception):
    """There is no engine here, or it refused; the message ends with the cure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One Docker daemon, and how to talk to it."""

    client: str
    environment: Mapping[str, str] = field(default_factory=dict)
    """Beside this process's own: DOCKER_HOST, where the daemon is not the client's default."""

    def docker(self, *arguments: str, timeout_s: float | None = 120) -> str:
        """Return what `docker ARGUMENTS` prints. Raise EngineError with its output if it fails."""
        done = self.run([self.client, *arguments], timeout_s=timeout_s)
        if done.returncode:
            raise EngineError(f"docker {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    def run(
        self,
        command: Sequence[str],
        *,
        extra: Mapping[str, str] | None = None,
        show: bool = False,
        timeout_s: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program that talks to this daemon, such as docker-compose. `show` prints its output at once."""
        kept = None if show else subprocess.PIPE
        return subprocess.run(
            command,
            env={**os.environ, **self.environment, **(extra or {})},
            check=False,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=kept,
            stderr=kept,
            timeout=timeout_s,
        )

    def answers(self) -> bool:
        """Tell whether the daemon answers."""
        # Without a daemon `docker info` prints the client's half and ends with 1, or 0 as of some releases.
        done = self.run([self.client, "info", "--format", "{{.ServerVersion}}"], timeout_s=30)
        return done.returncode == 0 and bool(done.stdout.strip())


@contextmanager
def engine(folder: Path) -> Iterator[Engine]:
    """Give the engine of this machine, or start one of our own in `folder` and end it after the block."""
    client = DEBIANS_CLIENT if os.access(DEBIANS_CLIENT, os.X_OK) else shutil.which("docker")
    if client is None:
        raise EngineError("there is no `docker` here: apt-get install docker.io")
    running = Engine(client=client)
    if running.answers():
        yield running
        return
    if os.geteuid() != 0:
        raise EngineError(
            "no Docker daemon answers, and only root can start one: run as root, or join the group of one that runs"
        )
    if missing := [program for program in ("dockerd", "iptables") if shutil.which(program, path=_path()) is None]:
        raise EngineError(
            f"no Docker daemon answers, and to start one {', '.join(missing)} is missing: "
            "apt-get install docker.io iptables"
        )
    folder = folder.absolute()
    if len(str(folder)) > LONGEST_FOLDER:
        raise EngineError(
            f"{folder} is too long for a daemon's sockets: name a folder of {LONGEST_FOLDER} characters or fewer"
        )
    folder.mkdir(parents=True, exist_ok=True)
    ours = Engine(client=client, environment={"DOCKER_HOST": f"unix://{folder}/sock"})
    if ours.answers():
        # Somebody else's on the same folder, who will end it.
        yield ours
        return
    with _daemon(folder, ours):
        yield ours


@contextmanager
def _daemon(folder: Path, ours: Engine) -> Iterator[None]:
    with (folder / "log").open("ab") as log:
        daemon = subprocess.Popen(
            [
                shutil.which("dockerd", path=_path()) or "dockerd",
                f"--data-root={folder}/data",
                f"--exec-root={folder}/exec",
                f"--pidfile={folder}/pid",
                f"--host=unix://{folder}/sock",
            ],
            env={**os.environ, "PATH": _path()},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # A Ctrl-C that ends the tests ends their containers first, and then this.
            start_new_session=True,
        )
    try:
        until = time.monotonic() + START_S
        while not ours.answers():
            if daemon.poll() is not None or time.monotonic() > until:
                said = (folder / "log").read_text(errors="replace").splitlines()[-10:]
                raise EngineError("dockerd did not start; the end of its log:\n" + "\n".join(said))
            time.sleep(0.2)
        yield
    finally:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(STOP_S)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def _path() -> str:
    # dockerd, iptables and containerd are root's; not every PATH has their folder.
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
