"""The agent's end of one request to a fork server: the marks of the work, and the output of its process."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Callable
from typing import Any

from agent.runner.protocol import Disconnected, LineSocket, send_with_descriptor

STDERR_TAIL_BYTES = 4000
"""Length of the output's end that a failed trial's row keeps, bytes."""


class Conversation:
    """The marks of one request, and the output of the process that works on it.

    `ForkServer.request` makes it; whoever made the request owns it. Its owner calls `next_mark` and, after each
    mark that waits for an answer, `go`; `output_bytes` and `output_tail` at any time before `close`. The order of
    the marks is in `agent.runner.protocol`.
    """

    def __init__(self, lines: LineSocket, output: int) -> None:
        self._lines = lines
        self._output = output
        self._poll = select.poll()
        self._poll.register(lines.fileno(), select.POLLIN)

    @classmethod
    def begin(cls, server: int, request: dict[str, Any]) -> Conversation:
        """Send `request` to the fork server whose socket the descriptor `server` refers to. Raises Disconnected."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # With it the kernel adds to each line the process that wrote it.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        output = os.memfd_create("joulefleet-output", os.MFD_CLOEXEC)
        try:
            connection.connect(f"/proc/self/fd/{server}")
            send_with_descriptor(connection, request, output)
        except OSError as error:
            os.close(output)
            connection.close()
            raise Disconnected(str(error)) from error
        return cls(LineSocket(connection), output)

    @property
    def writer(self) -> int | None:
        """The process that wrote the last line; None where it cannot be seen from here."""
        return self._lines.writer

    def next_mark(self, *, due_s: Callable[[], float]) -> dict[str, Any]:
        """Wait for the next mark and return it.

        `due_s` is called meanwhile: it does what is due, and returns the seconds until it wants to be called
        again. It may raise to end the wait. Raises Disconnected and ProtocolError.
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
        """Let the work continue. Where it has ended instead, `next_mark` says how."""
        try:
            self._lines.send({"go": answer})
        except Disconnected:
            return

    def output_bytes(self) -> int:
        """Return the number of bytes that the process has written so far."""
        return os.fstat(self._output).st_size

    def output_tail(self) -> str:
        """Return the last STDERR_TAIL_BYTES of the output."""
        size = self.output_bytes()
        tail = os.pread(self._output, STDERR_TAIL_BYTES, max(0, size - STDERR_TAIL_BYTES))
        return tail.decode("utf-8", errors="replace")

    def close(self) -> None:
        """End the conversation; a process that still waits for an answer ends with it."""
        self._lines.close()
        with contextlib.suppress(OSError):
            os.close(self._output)
