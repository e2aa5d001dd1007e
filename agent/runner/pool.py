"""The agent's side of the runner: its fork servers, in the environments that trials name."""

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
from agent.runner.spawn import fork_server_command, fork_server_environment, peer
from joulefleet.machine import BARE

READY_S = 300.0
"""Longest time in which a fork server imports torch, seconds: from a slow disk it takes a minute."""


class ForkServerProcess(Protocol):
    """The process of a fork server, in the agent's environment or in another one."""

    root_pid: int
    """The fork server, or a process above it; 0 where the agent cannot see it."""

    def alive(self) -> bool:
        """Return whether it still runs."""
        ...

    def end(self) -> None:
        """End it, and with it the work that it started."""
        ...


class ForkServer:
    """A fork server with one thread setting, as the agent uses it.

    OMP_NUM_THREADS is read when torch is imported, so each setting needs a fork server of its own. Its owner
    (`RunnerPool`, or `measure` for a cold trial) calls `wait_ready` and `request` as often as needed, one at a
    time, and `close` once. The work of a request ends at the latest with the fork server, and the fork server
    with the agent.
    """

    def __init__(self, *, threads: int, runner: Path | None = None) -> None:
        """Start it here, or through the runner of another environment whose socket is `runner`. Raises Disconnected."""
        self.threads = threads
        self.runner = runner
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            self._socket = _bind_unnamed(listener)
            listener.listen(8)
            try:
                self._process: ForkServerProcess = (
                    _Child(listener, threads) if runner is None else _Lease(listener, threads, runner)
                )
            except BaseException:
                os.close(self._socket)
                raise

    @property
    def root_pid(self) -> int:
        """The fork server's process, or one above it; 0 where the agent cannot see it."""
        return self._process.root_pid

    def alive(self) -> bool:
        """Return whether the fork server still runs."""
        return self._process.alive()

    def request(self, request: dict[str, Any]) -> Conversation:
        """Begin a conversation with `request`. Raises Disconnected when the fork server has ended."""
        return Conversation.begin(self._socket, request)

    def wait_ready(self, model_type: str) -> None:
        """Return once torch and the model's code are imported there. Raises Disconnected and ProtocolError."""
        conversation = self.request({"do": "ready", "model_type": model_type})
        try:
            ends = time.monotonic() + READY_S
            conversation.next_mark(due_s=lambda: _left(ends))
        finally:
            conversation.close()

    def close(self) -> None:
        """End the fork server, and with it the work that it started."""
        self._process.end()
        os.close(self._socket)


class _Child:
    """A fork server that is a child of this process."""

    def __init__(self, listener: socket.socket, threads: int) -> None:
        listener.set_inheritable(True)  # the standard library's signature
        # In the agent's session: the fork server ignores Ctrl-C itself, and must end with the agent.
        self._process = subprocess.Popen(
            fork_server_command(listener.fileno()),
            env=fork_server_environment(threads),
            pass_fds=[listener.fileno()],
            stdin=subprocess.DEVNULL,
        )
        self.root_pid = self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


class _Lease:
    """A fork server started by the runner of another environment; it lives as long as the connection to the runner."""

    def __init__(self, listener: socket.socket, threads: int, runner: Path) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(ANSWER_S)
            connection.connect(str(runner))
            self.root_pid, _ = peer(connection)
            send_with_descriptor(connection, {"do": "fork_server", "threads": threads}, listener.fileno())
        except OSError as error:
            connection.close()
            raise Disconnected(f"the runner at {runner} cannot be reached: {error.strerror}") from error
        connection.settimeout(None)
        self._lines = LineSocket(connection)

    def alive(self) -> bool:
        # The runner sends nothing, and closes the connection when the fork server ends.
        return not self._lines.is_readable()

    def end(self) -> None:
        self._lines.close()


def _left(ends: float) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise Disconnected(f"not ready within {READY_S:.0f} s")
    return left


def _bind_unnamed(listener: socket.socket) -> int:
    """Bind `listener` and remove its name: return a descriptor through which only this process can connect.

    So no file is left behind when an agent is killed. An abstract address would leave no file either, but
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
    """The fork servers of one agent: at most one warm one is kept; a cold one is made for each request.

    The agent (`AgentService`) owns it, uses it from one thread and ends it with `discard`. `own` is the label
    of the agent's environment; `folder` holds the sockets of the runners of other environments.
    """

    def __init__(self, *, own: str = BARE, folder: Path | None = None) -> None:
        self.own = own
        self._folder = folder or runners_folder()
        self._warm: ForkServer | None = None

    def fork_server(self, *, environment: str, threads: int, cold: bool) -> ForkServer:
        """Return a fork server in `environment` with this thread setting; a cold one belongs to the caller.

        A warm one of another setting is ended first: even idle it holds memory. Raises Disconnected where no
        runner of that environment can be reached.
        """
        runner = None if environment == self.own else runner_socket(self._folder, environment)
        warm = self._warm
        if warm is not None and (cold or (warm.threads, warm.runner) != (threads, runner) or not warm.alive()):
            self.discard()
        if cold:
            return ForkServer(threads=threads, runner=runner)
        if self._warm is None:
            self._warm = ForkServer(threads=threads, runner=runner)
        return self._warm

    def any_fork_server(self) -> ForkServer:
        """Return a warm fork server of the agent's environment, with any thread setting."""
        if self._warm is not None and self._warm.runner is None and self._warm.alive():
            return self._warm
        return self.fork_server(environment=self.own, threads=0, cold=False)

    def discard(self) -> None:
        """End the warm fork server, if there is one."""
        if self._warm is not None:
            self._warm.close()
            self._warm = None
