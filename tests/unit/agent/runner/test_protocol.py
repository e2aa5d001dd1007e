"""The protocol between agent and runner."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from agent.runner.protocol import Disconnected, LineSocket, ProtocolError, receive_with_descriptor, send_with_descriptor


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return two connected sockets."""
    left, right = socket.socketpair()
    with left, right:
        yield left, right


def test_a_line_arrives_as_it_was_sent(ends: tuple[socket.socket, socket.socket]) -> None:
    """Several lines may arrive in one chunk."""
    left, right = LineSocket(ends[0]), LineSocket(ends[1])
    left.send({"mark": "hello", "pid": 1})
    left.send({"mark": "items"})
    assert right.receive() == {"mark": "hello", "pid": 1}
    assert right.receive() == {"mark": "items"}


def test_a_line_in_pieces_is_put_together(ends: tuple[socket.socket, socket.socket]) -> None:
    """A line is not returned before its end has arrived."""
    right = LineSocket(ends[1])
    ends[0].sendall(b'{"mark":')
    right.fill()
    assert right.buffered() is None
    ends[0].sendall(b'"done"}\n')
    assert right.receive() == {"mark": "done"}


@pytest.mark.parametrize("line", [b"not json\n", b"[1]\n", b"\xff\xfe\n", b"\n"])
def test_a_line_that_is_not_a_mapping_is_a_protocol_error(
    ends: tuple[socket.socket, socket.socket], line: bytes
) -> None:
    """Anything but a JSON mapping is refused, and nothing of it is executed."""
    ends[0].sendall(line)
    with pytest.raises(ProtocolError):
        LineSocket(ends[1]).receive()


def test_a_closed_socket_is_an_error_of_its_own(ends: tuple[socket.socket, socket.socket]) -> None:
    """It is raised for reading and for writing."""
    ends[0].close()
    lines = LineSocket(ends[1])
    with pytest.raises(Disconnected):
        lines.receive()
    with pytest.raises(Disconnected):
        lines.send({"mark": "hello"})


def test_the_output_travels_with_the_first_line(ends: tuple[socket.socket, socket.socket]) -> None:
    """The descriptor that arrives is the file that was sent."""
    output = os.memfd_create("test")
    send_with_descriptor(ends[0], {"do": "work", "spec": {"a": "x" * 100_000}}, output)
    request, received, _ = receive_with_descriptor(ends[1])
    os.write(received, b"written by the work")
    assert request["do"] == "work"
    assert os.pread(output, 100, 0) == b"written by the work"
    os.close(output)
    os.close(received)


def test_a_request_that_is_answered_at_once_was_sent_well() -> None:
    """The fork server may have answered and closed before the sender continues: the answer counts."""

    class Quick(socket.socket):
        """A socket whose other side closes as soon as the line is there."""

        def sendmsg(self, *arguments: object) -> int:
            sent = super().sendmsg(*arguments)  # type: ignore[arg-type]  # as above
            other.close()
            return sent

    left, other = socket.socketpair()
    with Quick(fileno=left.detach()) as quick:
        output = os.memfd_create("test")
        send_with_descriptor(quick, {"do": "ready"}, output)
        os.close(output)


def test_a_first_line_without_a_descriptor_is_a_protocol_error(ends: tuple[socket.socket, socket.socket]) -> None:
    """A request without the work's output is refused."""
    ends[0].sendall(b'{"do":"work"}\n')
    with pytest.raises(ProtocolError):
        receive_with_descriptor(ends[1])
