"""The agent's side of the runner: keep a host at hand, and hold one conversation with it."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.runner.marks import Disconnected, LineSocket, send_with_descriptor

STDERR_TAIL_BYTES = 4000


class RunnerHost:
    """A host process for one thread setting. OMP_NUM_THREADS is read when torch is imported, hence one each."""

    def __init__(self, *, threads: int) -> None:
        self.threads = threads
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._place = _bind_unnamed(listener)
        listener.listen(8)
        listener.set_inheritable(True)  # the standard library's signature
        # No new session: Ctrl-C is ignored by the host itself, and the agent's death must reach it.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "agent.runner.host", "--listen-fd", str(listener.fileno())],
            env=runner_environment(threads),
            pass_fds=[listener.fileno()],
            stdin=subprocess.DEVNULL,
        )
        listener.close()

    @property
    def pid(self) -> int:
        """The host's process id."""
        return self._process.pid

    def alive(self) -> bool:
        """Whether the host still runs."""
        return self._process.poll() is None

    def ask(self, request: dict[str, Any]) -> Conversation:
        """Begin a conversation with `request`. Raises Disconnected when the host is gone."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        output = os.memfd_create("joulefleet-output", os.MFD_CLOEXEC)
        try:
            connection.connect(f"/proc/self/fd/{self._place}")
            send_with_descriptor(connection, request, output)
        except OSError as error:
            os.close(output)
            connection.close()
            raise Disconnected(str(error)) from error
        return Conversation(LineSocket(connection), output)

    def wait_ready(self, model_type: str) -> None:
        """Return once torch and the model's code are imported there. Raises Disconnected, Stranger."""
        conversation = self.ask({"do": "ready", "model_type": model_type})
        try:
            conversation.next_mark(due_s=lambda: 3600.0)
        finally:
            conversation.close()

    def close(self) -> None:
        """End the host, and with it whatever it runs."""
        self._process.kill()
        self._process.wait()
        os.close(self._place)


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


class Conversation:
    """One request's marks, and what its process writes to its output."""

    def __init__(self, lines: LineSocket, output: int) -> None:
        self._lines = lines
        self._output = output
        self._poll = select.poll()
        self._poll.register(lines.fileno(), select.POLLIN)

    def next_mark(self, *, due_s: Callable[[], float]) -> dict[str, Any]:
        """The next mark. `due_s` is called to do what is due meanwhile, and says in how many seconds it is due again.

        `due_s` may raise to end the wait. Raises Disconnected and Stranger.
        """
        while True:
            message = self._lines.buffered()
            if message is not None:
                return message
            # Rounded up: a time-out of 0.4 ms as 0 would spin. Only what arrives can end a line.
            while not self._poll.poll(max(0, int(due_s() * 1000) + 1)):
                pass
            self._lines.fill()

    def go(self, answer: str = "on") -> None:
        """Let the work go on. Raises Disconnected."""
        self._lines.send({"go": answer})

    def output_bytes(self) -> int:
        """How much the process has written so far."""
        return os.fstat(self._output).st_size

    def output_tail(self) -> str:
        """The end of what the process wrote."""
        size = self.output_bytes()
        tail = os.pread(self._output, STDERR_TAIL_BYTES, max(0, size - STDERR_TAIL_BYTES))
        return tail.decode("utf-8", errors="replace")

    def close(self) -> None:
        """End the conversation; a process that still waits for an answer ends with it."""
        self._lines.close()
        with contextlib.suppress(OSError):
            os.close(self._output)


class RunnerPool:
    """The hosts of one agent: warm ones are kept, one at a time; cold ones are made for one request."""

    def __init__(self) -> None:
        self._warm: RunnerHost | None = None

    def host(self, *, threads: int, cold: bool) -> RunnerHost:
        """A host for this thread setting. Another setting's host is ended: idle, it still holds memory."""
        if self._warm is not None and (cold or self._warm.threads != threads or not self._warm.alive()):
            self._warm.close()
            self._warm = None
        if cold:
            return RunnerHost(threads=threads)
        if self._warm is None:
            self._warm = RunnerHost(threads=threads)
        return self._warm

    def any_host(self) -> RunnerHost:
        """A warm host of whatever thread setting."""
        if self._warm is not None and self._warm.alive():
            return self._warm
        return self.host(threads=0, cold=False)

    def discard(self) -> None:
        """End the warm host, where there is one."""
        if self._warm is not None:
            self._warm.close()
            self._warm = None


def runner_environment(threads: int) -> dict[str, str]:
    """The environment of the work: the agent's own, with every thread setting explicit and nothing of Ray's."""
    count = str(threads or len(os.sched_getaffinity(0)))
    keep = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "OMP_", "MKL_", "KMP_"))}
    # The work must import these very packages, wherever the agent was started.
    root = str(Path(__file__).resolve().parents[2])
    return keep | {
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "OMP_DYNAMIC": "FALSE",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": os.pathsep.join(filter(None, [root, keep.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
    }
