"""Runners as an agent finds them, and why one is not used."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.runner.discovery import (
    Offer,
    RunnerDescription,
    describe_own,
    description_json,
    environment_of_runner,
    offers,
    own_versions,
    query_runner,
    runner_socket,
)
from agent.runner.protocol import Disconnected, ProtocolError, receive_with_descriptor

Answer = Callable[[str, bytes], None]


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Answer]:
    """Let runners be found in `tmp_path` that give these answers to whoever asks."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def answer(label: str, data: bytes) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(runner_socket(tmp_path, label)))
        listener.listen(4)
        listeners.append(listener)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    _, descriptor, _ = receive_with_descriptor(connection)
                    os.close(descriptor)
                    connection.sendall(data)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()

    yield answer
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join(10)


def described(cache: Path, /, **changes: Any) -> RunnerDescription:
    """Return the description of a runner of `container` on this machine."""
    own = describe_own("container", cache, sysfs_root=Path("/sys"), proc_root=Path("/proc"))
    return replace(own, **changes)


def line(description: RunnerDescription) -> bytes:
    """Return the line that a runner with this description sends."""
    return json.dumps(description_json(description)).encode() + b"\n"


def found(folder: Path) -> list[Offer | str]:
    """Return what an agent in `bare`, with its cache in `folder`, offers."""
    return list(offers(folder, own="bare", cache=folder, sysfs_root=Path("/sys"), proc_root=Path("/proc")))


def test_an_agent_offers_its_own_environment_first(answering: Answer, tmp_path: Path) -> None:
    """A runner that fits comes after it, with its own number of CPUs."""
    answering("container", line(described(tmp_path, cpus=3, cpu_limit=2.5)))
    own, container = found(tmp_path)
    assert isinstance(own, Offer)
    assert own.label == "bare"
    assert container == Offer(label="container", cpus=3, cpu_limit=2.5)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cache": None}, "it does not have the agent's cache at"),
        ({"cache": (1, 1)}, "mount the same folder there in both"),
        ({"versions": {"joulefleet": "0", "protocol": "1"}}, "it has joulefleet 0, protocol 1, the agent joulefleet"),
    ],
)
def test_a_runner_that_does_not_fit_is_not_offered(
    changes: dict[str, Any], reason: str, answering: Answer, tmp_path: Path
) -> None:
    """All its trials would fail; the reason has the cure."""
    answering("container", line(described(tmp_path, **changes)))
    assert reason in str(found(tmp_path)[1])


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (b"", Disconnected, "closed"),
        (b"not JSON\n", ProtocolError, "not JSON"),
        (b'{"label":"container"}\n', ProtocolError, "no description"),
        (b'{"refused":"it obeys root and user 5, not user 0"}\n', ProtocolError, "it obeys root and user 5"),
    ],
)
def test_an_answer_that_is_no_description_is_an_error(
    answer: bytes, error: type[Exception], message: str, answering: Answer, tmp_path: Path
) -> None:
    """The socket may be anybody's; the runner is reported, and not used."""
    answering("container", answer)
    with pytest.raises(error, match=message):
        query_runner(runner_socket(tmp_path, "container"))
    assert message in str(found(tmp_path)[1])
    assert environment_of_runner(tmp_path, "container") is None


def test_a_socket_at_which_nobody_listens_names_the_command(tmp_path: Path) -> None:
    """A killed runner leaves one behind."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(runner_socket(tmp_path, "pod")))
    assert "start it with: joulefleet runner pod" in str(found(tmp_path)[1])


def test_a_runner_of_the_agents_own_environment_is_not_used(answering: Answer, tmp_path: Path) -> None:
    """The agent starts that work itself."""
    answering("bare", line(described(tmp_path, label="bare")))
    assert "the agent itself is in bare" in str(found(tmp_path)[1])


def test_a_runners_environment_record_is_its_own(answering: Answer, tmp_path: Path) -> None:
    """A row describes where the work ran."""
    record = replace(described(tmp_path).environment, image="an image")
    answering("container", line(described(tmp_path, environment=record)))
    assert environment_of_runner(tmp_path, "container") == record


def test_agent_and_runner_must_agree_in_version_and_protocol() -> None:
    """Both decide what is measured."""
    assert set(own_versions()) == {"joulefleet", "protocol"}
