"""The agent's end of a request."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.runner.conversation import STDERR_TAIL_BYTES, Conversation
from agent.runner.protocol import Disconnected, LineSocket, receive_with_descriptor


@pytest.fixture
def conversation() -> Iterator[tuple[Conversation, LineSocket, int]]:
    """Return a conversation, the worker's end, and the descriptor of the worker's output."""
    agent, worker = socket.socketpair()
    agent.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    output = os.memfd_create("output")
    conversation = Conversation(LineSocket(agent), output)
    with worker:
        yield conversation, LineSocket(worker), output
    conversation.close()


Fixture = tuple[Conversation, LineSocket, int]


def test_a_mark_comes_with_the_process_that_wrote_it(conversation: Fixture) -> None:
    """The kernel reports it: here this very process."""
    agent, worker, _ = conversation
    worker.send({"mark": "hello"})
    assert agent.next_mark(due_s=lambda: 1.0) == {"mark": "hello"}
    assert agent.writer == os.getpid()
    agent.go("again")
    assert worker.receive() == {"go": "again"}


def test_what_is_due_is_done_while_a_mark_is_awaited(conversation: Fixture) -> None:
    """The sensors are polled at their own pace, and an exception ends the wait."""
    agent, worker, _ = conversation
    calls: list[float] = []

    def due_s() -> float:
        calls.append(time.monotonic())
        if len(calls) == 3:
            worker.send({"mark": "loaded"})
        return 0.01

    assert agent.next_mark(due_s=due_s) == {"mark": "loaded"}
    assert len(calls) == 3
    assert calls[2] - calls[0] >= 0.02

    def give_up() -> float:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        agent.next_mark(due_s=give_up)


def test_a_process_that_died_before_the_answer_is_known_by_its_return_code(conversation: Fixture) -> None:
    """The fork server may have sent `exit` and closed while the agent still reads its counters."""
    agent, worker, _ = conversation
    worker.send({"mark": "hello"})
    worker.send({"mark": "exit", "returncode": -9})
    worker.close()
    assert agent.next_mark(due_s=lambda: 1.0)["mark"] == "hello"
    agent.go()
    assert agent.next_mark(due_s=lambda: 1.0) == {"mark": "exit", "returncode": -9}
    with pytest.raises(Disconnected):
        agent.next_mark(due_s=lambda: 1.0)


def test_the_end_of_a_long_output_is_kept(conversation: Fixture) -> None:
    """Characters that the cut breaks are replaced."""
    agent, _, output = conversation
    written = "ü" * STDERR_TAIL_BYTES + "the end"
    os.write(output, written.encode())
    assert agent.output_bytes() == len(written.encode())
    assert agent.output_tail().endswith("üthe end")
    assert len(agent.output_tail().encode(errors="replace")) <= STDERR_TAIL_BYTES + 3


def test_a_request_reaches_the_socket_behind_a_descriptor(tmp_path: Path) -> None:
    """The socket needs no name any more; the output travels along."""
    name = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(name))
        listener.listen(1)
        server = os.open(name, os.O_PATH | os.O_CLOEXEC)
        name.unlink()
        agent = Conversation.begin(server, {"do": "work"})
        accepted, _ = listener.accept()
        with accepted:
            request, output, _ = receive_with_descriptor(accepted)
            os.write(output, b"written")
            os.close(output)
    assert request == {"do": "work"}
    assert agent.output_tail() == "written"
    agent.close()
    with pytest.raises(Disconnected):
        Conversation.begin(server, {"do": "work"})
    os.close(server)
