import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from coordinator.cluster.ray.overhead import CoordinatorProcess, Observers
from coordinator.cluster.ray.settings import NODE_VARIABLE


@pytest.fixture
def other() -> Iterator[int]:
    """Give the id of a process in a session of its own."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as process:
        yield process.pid
        process.kill()


def test_the_agent_itself_is_no_observer_and_each_process_counts_once(other: int) -> None:
    """The agent's own cost is added where the trial is measured."""
    observers = Observers(environ={NODE_VARIABLE: "1"})
    observers.coordinator = CoordinatorProcess.here()
    pids = observers()
    assert other in pids
    assert os.getpid() not in pids
    assert len(set(pids)) == len(pids)


def test_a_coordinator_on_the_same_machine_is_an_observer(other: int) -> None:
    """Its cost is part of the row. On another machine the same id is another process."""
    observers = Observers(environ={})
    observers.coordinator = coordinator = replace(CoordinatorProcess.here(), pid=other)
    assert other in observers()
    # Process 2 is neither parent nor child of a test, so it counts only as a coordinator of this machine.
    observers.coordinator = replace(coordinator, pid=2, pid_namespace="another boot or namespace")
    assert 2 not in observers()


def test_on_a_node_of_joulefleet_the_whole_session_is_watched() -> None:
    """On a head that measures, the control server is no child of the raylet."""
    assert set(Observers(environ={})()) <= set(Observers(environ={NODE_VARIABLE: "1"})())


def test_session_0_is_no_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's threads are in it, and in a container everything that its first process has started."""
    monkeypatch.setattr(os, "getsid", lambda pid: 0)
    assert set(Observers(environ={NODE_VARIABLE: "1"})()) <= set(Observers(environ={})())
