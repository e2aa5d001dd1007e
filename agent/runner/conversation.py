"""The agent's end of one request to a host: its marks, and what its process writes to its output."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Callable
from typing import Any

from agent.runner.protocol import Disconnected, LineSocket, send_with_descriptor

STDERR_TAIL_BYTES = 4000


class Conversation:
    """One request's marks, and what its process writes to its output."""

    def __init__(self, lines: LineSocket, output: int) -> None:
        self._lines = lines
        self._output = output
        self._poll = select.poll()
        self._poll.register(lines.fileno(), select.POLLIN)

    @classmethod
    def begin(cls, place: int, request: dict[str, Any]) -> Conversation:
        """With the host that listens at the socket behind the descriptor `place`. Raises Disconnected."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # So that each line comes with the process that wrote it, as the kernel knows it.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        output = os.memfd_create("joulefleet-output", os.MFD_CLOEXEC)
        try:
            connection.connect(f"/proc/self/fd/{place}")
            send_with_descriptor(connection, request, output)
        except OSError as error:
            os.close(output)
            connection.close()
            raise Disconnected(str(error)) from error
        return cls(LineSocket(connection), output)

    @property
    def writer(self) -> int | None:
        """The process that wrote the last line, by this process's numbers; None where it is not among them."""
        return self._lines.writer

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
