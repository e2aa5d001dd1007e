"""The language between agent and runner: JSON lines on a local stream socket, one line a mark.

The agent asks (`{"do": "work", ...}`, "prepare", or "ready" to hear when the host is), and the file
descriptor for the work's output travels with that first line. From then on the runner says marks, in
this order, and after each waits for the agent's `{"go": ...}`, so that the agent reads its counters
exactly between two of them::

    hello     the process is there: how nice, threads, CPUs took effect
    items     the items are ready
    loaded    the weights are loaded
    warmed    some whole passes are done          go: "again", or "on"
    open      nothing is left but the work; the agent reads, and its go opens the window
    closed    the last pass is done
    done      latencies, counts, outputs

`error` may come in place of any mark. The host itself ends every conversation with `exit` and the
return code. A line is data: nothing of it is ever executed, and numbers are checked where they are used.
"""

from __future__ import annotations

import json
import select
import socket
from typing import Any

from agent.runner.spawn import ANCILLARY_BYTES, sent_by

MAX_LINE_BYTES = 64 << 20
"""A million latencies are some 10 MB; more than this is not a runner."""


class Disconnected(Exception):
    """The other side closed the socket."""


class Stranger(Exception):
    """The other side does not speak this language."""


class LineSocket:
    """Whole JSON lines over a stream socket."""

    def __init__(self, connection: socket.socket, buffered: bytes = b"") -> None:
        self._socket = connection
        self._buffer = bytearray(buffered)
        self.writer: int | None = None
        """The process that wrote what arrived last, where the socket asks the kernel for it (SO_PASSCRED)."""

    def fileno(self) -> int:
        """For poll()."""
        return self._socket.fileno()

    def send(self, message: dict[str, Any]) -> None:
        """Send one line. Raises Disconnected."""
        try:
            self._socket.sendall(json.dumps(message, separators=(",", ":")).encode() + b"\n")
        except OSError as error:
            raise Disconnected(str(error)) from error

    def receive(self) -> dict[str, Any]:
        """The next line; blocks until it is there. Raises Disconnected and Stranger."""
        while True:
            message = self.buffered()
            if message is not None:
                return message
            self.fill()

    def fill(self) -> None:
        """Take in what has arrived (blocks where nothing has). Raises Disconnected and Stranger."""
        try:
            # The kernel never puts what two processes wrote into one answer.
            chunk, ancillary, _flags, _address = self._socket.recvmsg(1 << 16, ANCILLARY_BYTES)
        except OSError as error:
            raise Disconnected(str(error)) from error
        if not chunk:
            raise Disconnected("closed")
        self.writer = sent_by(ancillary)
        self._buffer += chunk
        if len(self._buffer) > MAX_LINE_BYTES:
            raise Stranger("a line without an end")

    def buffered(self) -> dict[str, Any] | None:
        """A line that has arrived whole, or None. Raises Stranger."""
        end = self._buffer.find(b"\n")
        if end < 0:
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Stranger("a line that is not JSON") from error
        if not isinstance(message, dict):
            raise Stranger("a line that is not a mapping")
        return message

    def has_news(self) -> bool:
        """Whether something has arrived, or the other side has closed."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def send_with_descriptor(connection: socket.socket, message: dict[str, Any], descriptor: int) -> None:
    """Send the first line, and `descriptor` with it."""
    data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
    rest = data[socket.send_fds(connection, [data], [descriptor]) :]
    # Even an empty send fails once the other side has answered and closed.
    if rest:
        connection.sendall(rest)


def receive_with_descriptor(connection: socket.socket) -> tuple[dict[str, Any], int, LineSocket]:
    """The first line, the descriptor that came with it, and the line socket for the rest.

    Raises Disconnected and Stranger.
    """
    data, descriptors, _flags, _address = socket.recv_fds(connection, 1 << 16, 1)
    if not data:
        raise Disconnected("closed")
    if len(descriptors) != 1:
        raise Stranger("no descriptor for the work's output")
    lines = LineSocket(connection, data)
    return lines.receive(), descriptors[0], lines
