"""The agent's side of the runner: keep a host at hand, in the environment that a trial asks for."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Protocol

from agent.runner.conversation import Conversation
from agent.runner.discovery import ANSWER_S, runner_socket, runners_folder
from agent.runner.protocol import Disconnected, LineSocket, send_with_descriptor
from agent.runner.spawn import host_command, host_environment, peer
from joulefleet.machine import BARE

READY_S = 300.0
"""Importing torch takes seconds, from a slow disk a minute."""


class HostProcess(Protocol):
    """The process of a host, here or in another environment."""

    root: int
    """A process that the host is, or is below."""

    def alive(self) -> bool:
        """Whether it still runs."""
        ...

    def end(self) -> None:
        """End it, and with it whatever it runs."""
        ...


class RunnerHost:
    """A host process for one thread setting. OMP_NUM_THREADS is read when torch is imported, hence one each."""

    def __init__(self, *, threads: int, runner: Path | None = None) -> None:
        """In this environment, or in that of the runner whose socket is given. Raises Disconnected."""
        self.threads = threads
        self.runner = runner
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            self._place = _bind_unnamed(listener)
            listener.listen(8)
            try:
                self._process: HostProcess = (
                    _Child(listener, threads) if runner is None else _Lease(listener, threads, runner)
                )
            except BaseException:
                os.close(self._place)
                raise

    @property
    def root(self) -> int:
        """The host's process, or one that it is below: 0 where the agent cannot see it."""
        return self._process.root

    def alive(self) -> bool:
        """Whether the host still runs."""
        return self._process.alive()

    def ask(self, request: dict[str, Any]) -> Conversation:
        """Begin a conversation with `request`. Raises Disconnected when the host is gone."""
        return Conversation.begin(self._place, request)

    def wait_ready(self, model_type: str) -> None:
        """Return once torch and the model's code are imported there. Raises Disconnected, Stranger."""
        conversation = self.ask({"do": "ready", "model_type": model_type})
        try:
            ends = time.monotonic() + READY_S
            conversation.next_mark(due_s=lambda: _left(ends))
        finally:
            conversation.close()

    def close(self) -> None:
        """End the host, and with it whatever it runs."""
        self._process.end()
        os.close(self._place)


class _Child:
    """A host that is this process's own child."""

    def __init__(self, listener: socket.socket, threads: int) -> None:
        listener.set_inheritable(True)  # the standard library's signature
        # No new session: Ctrl-C is ignored by the host itself, and the agent's death must reach it.
        self._process = subprocess.Popen(
            host_command(listener.fileno()),
            env=host_environment(threads),
            pass_fds=[listener.fileno()],
            stdin=subprocess.DEVNULL,
        )
        self.root = self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


class _Lease:
    """A host that a runner of another environment has started: it lives as long as this connection to the runner."""

    def __init__(self, listener: socket.socket, threads: int, runner: Path) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(ANSWER_S)
            connection.connect(str(runner))
            # The process that listens there, by this process's numbers.
            self.root, _ = peer(connection)
            send_with_descriptor(connection, {"do": "host", "threads": threads}, listener.fileno())
        except OSError as error:
            connection.close()
            raise Disconnected(f"the runner at {runner} cannot be reached: {error.strerror}") from error
        connection.settimeout(None)
        self._lines = LineSocket(connection)

    def alive(self) -> bool:
        # The runner says nothing, and closes the connection when the host ends.
        return not self._lines.has_news()

    def end(self) -> None:
        self._lines.close()


def _left(ends: float) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise Disconnected(f"not ready within {READY_S:.0f} s")
    return left


def _bind_unnamed(listener: socket.socket) -> int:
    """Bind `listener`, and take its name away again: a descriptor by which this process alone can connect.

    So nothing is left behind however an agent dies. An abstract address would leave nothing either, but
    every user of the host could connect to it.
    """
    folder = Path(tempfile.mkdtemp(prefix="joulefleet-runner-"))
    name = folder / "socket"
    try:
        listener.bind(str(name))
        return os.open(name, os.O_PATH | os.O_CLOEXEC)
    finally:
        name.unlink(missing_ok=True)
        folder.rmdir()


class RunnerPool:
    """The hosts of one agent: warm ones are kept, one at a time; cold ones are made for one request.

    `own` is the label of the environment that the agent is in; the sockets of others' runners are in `folder`.
    """

    def __init__(self, *, own: str = BARE, folder: Path | None = None) -> None:
        self.own = own
        self._folder = folder or runners_folder()
        self._warm: RunnerHost | None = None

    def host(self, *, environment: str, threads: int, cold: bool) -> RunnerHost:
        """A host there for this thread setting. Another setting's host is ended: idle, it still holds memory.

        Raises Disconnected where no runner of that environment can be reached.
        """
        runner = None if environment == self.own else runner_socket(self._folder, environment)
        asked = (threads, runner)
        warm = self._warm
        if warm is not None and (cold or (warm.threads, warm.runner) != asked or not warm.alive()):
            self.discard()
        if cold:
            return RunnerHost(threads=threads, runner=runner)
        if self._warm is None:
            self._warm = RunnerHost(threads=threads, runner=runner)
        return self._warm

    def any_host(self) -> RunnerHost:
        """A warm host of this environment, of whatever thread setting."""
        if self._warm is not None and self._warm.runner is None and self._warm.alive():
            return self._warm
        return self.host(environment=self.own, threads=0, cold=False)

    def discard(self) -> None:
        """End the warm host, where there is one."""
        if self._warm is not None:
            self._warm.close()
            self._warm = None
