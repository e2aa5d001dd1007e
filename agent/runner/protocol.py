"""The protocol between agent and runner: JSON lines on a local stream socket.

The agent sends a request (`{"do": "work", ...}`, or "prepare", or "ready"), with the file descriptor for the
work's output. The process that works on it then sends marks, one line each, in this order. After each but the
last it waits for the agent's `{"go": ...}`, so that the agent reads its counters exactly at the marks::

    hello     the process has started; with its niceness, CPUs and privileges
    items     the items are ready
    loaded    the weights are loaded
    warmed    some whole passes are done          go: "again" or "on"
    open      everything but the passes is done; the agent reads its counters, and its go opens the window
    closed    the last pass is done
    done      latencies, labels and predictions

`error` may come in place of any mark. The fork server ends every conversation with `exit` and the return code;
it answers "ready" itself, with the mark `ready`. "prepare" has the one mark `done`. A line is data: no part of it
is ever executed, and its values are checked where they are used.
"""

from __future__ import annotations

import json
import select
import socket
from typing import Any

from agent.runner.spawn import ANCILLARY_BYTES, sent_by

MAX_LINE_BYTES = 64 << 20
"""Longest line that is accepted, bytes: a million latencies are some 10 MB."""


class Disconnected(Exception):
    """The other side closed the socket."""


class ProtocolError(Exception):
    """The other side sent something that the protocol does not allow."""


class LineSocket:
    """Whole JSON lines over a stream socket."""

    def __init__(self, connection: socket.socket, buffered: bytes = b"") -> None:
        self._socket = connection
        self._buffer = bytearray(buffered)
        self.writer: int | None = None
        """The process that wrote the last bytes that arrived, where the socket has the option SO_PASSCRED."""

    def fileno(self) -> int:
        """Return the socket's descriptor, for poll."""
        return self._socket.fileno()

    def send(self, message: dict[str, Any]) -> None:
        """Send one line. Raises Disconnected."""
        try:
            self._socket.sendall(json.dumps(message, separators=(",", ":")).encode() + b"\n")
        except OSError as error:
            raise Disconnected(str(error)) from error

    def receive(self) -> dict[str, Any]:
        """Wait for the next line and return it. Raises Disconnected and ProtocolError."""
        while True:
            message = self.buffered()
            if message is not None:
                return message
            self.fill()

    def fill(self) -> None:
        """Receive what has arrived, or wait for it. Raises Disconnected and ProtocolError."""
        try:
            # The kernel never returns bytes of two processes at once.
            chunk, ancillary, _flags, _address = self._socket.recvmsg(1 << 16, ANCILLARY_BYTES)
        except OSError as error:
            raise Disconnected(str(error)) from error
        if not chunk:
            raise Disconnected("closed")
        self.writer = sent_by(ancillary)
        self._buffer += chunk
        if len(self._buffer) > MAX_LINE_BYTES:
            raise ProtocolError("a line without an end")

    def buffered(self) -> dict[str, Any] | None:
        """Return the next line if it has arrived completely, else None. Raises ProtocolError."""
        end = self._buffer.find(b"\n")
        if end < 0:
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ProtocolError("a line that is not JSON") from error
        if not isinstance(message, dict):
            raise ProtocolError("a line that is not a mapping")
        return message

    def is_readable(self) -> bool:
        """Return whether something has arrived, or the other side has closed."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def send_with_descriptor(connection: socket.socket, message: dict[str, Any], descriptor: int) -> None:
    """Send `message` as the first line, with `descriptor`. Raises OSError."""
    data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
    rest = data[socket.send_fds(connection, [data], [descriptor]) :]
    # A send of nothing would fail too where the other side has already answered and closed.
    if rest:
        connection.sendall(rest)


def receive_with_descriptor(connection: socket.socket) -> tuple[dict[str, Any], int, LineSocket]:
    """Return the first line, the descriptor that came with it, and the line socket for the rest.

    Raises Disconnected and ProtocolError.
    """
    data, descriptors, _flags, _address = socket.recv_fds(connection, 1 << 16, 1)
    if not data:
        raise Disconnected("closed")
    if len(descriptors) != 1:
        raise ProtocolError("no descriptor for the work's output")
    lines = LineSocket(connection, data)
    return lines.receive(), descriptors[0], lines
