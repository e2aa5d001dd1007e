"""A runner as it answers agents, without starting a fork server."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.runner.discovery import RunnerDescription, describe_own, query_runner, runner_socket
from agent.runner.protocol import Disconnected
from agent.runner.server import RunnerService
from joulefleet.errors import BusyError, MachineError


def described(folder: Path) -> RunnerDescription:
    """Return the description of a runner of `container` with its cache in `folder`."""
    return describe_own("container", folder / "cache", sysfs_root=Path("/sys"), proc_root=Path("/proc"))


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[RunnerService]:
    """Return a runner that serves until the end of the test, when a signal ends it."""
    service = RunnerService(tmp_path, "container", lambda: described(tmp_path))
    before = signal.getsignal(signal.SIGUSR1)
    service.stop_on(signal.SIGUSR1)
    thread = threading.Thread(target=service.serve)
    thread.start()
    yield service
    signal.raise_signal(signal.SIGUSR1)
    thread.join(10)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGUSR1, before)
    assert not thread.is_alive()
    assert not service.path.exists()


def test_a_runner_describes_itself_and_its_process(serving: RunnerService, tmp_path: Path) -> None:
    """The process is the kernel's word, the description the runner's."""
    description, process = query_runner(serving.path)
    assert (description, process) == (described(tmp_path), os.getpid())


def test_a_request_that_is_none_does_not_end_a_runner(serving: RunnerService) -> None:
    """Whatever arrives, the next agent is served."""
    for request in (b"", b"not JSON\n", b'{"do":"describe"}\n'):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(serving.path))
            connection.sendall(request)
    assert query_runner(serving.path)[0].label == "container"


def test_an_environment_has_one_runner(serving: RunnerService, tmp_path: Path) -> None:
    """A second one would take the first one's socket away."""
    with pytest.raises(BusyError, match="another runner serves at"):
        RunnerService(tmp_path, "container", lambda: described(tmp_path))
    assert serving.path.exists()


def test_the_socket_of_a_killed_runner_is_replaced(tmp_path: Path) -> None:
    """It was left behind, and nobody listens there."""
    path = runner_socket(tmp_path, "container")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(path))
    with pytest.raises(Disconnected):
        query_runner(path)
    service = RunnerService(tmp_path, "container", lambda: described(tmp_path))
    assert path.stat().st_mode & 0o777 == 0o666
    service._listener.close()


def test_a_folder_in_which_nothing_can_listen_is_named_with_the_cure(tmp_path: Path) -> None:
    """Agent and runner need one folder that both may use."""
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match=r"nothing can listen there.*\$JOULEFLEET_HOST_FOLDER"):
        RunnerService(tmp_path / "file", "container", lambda: described(tmp_path))
