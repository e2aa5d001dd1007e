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
    """A process that lives as long as the test, in a session of its own."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as process:
        yield process.pid
        process.kill()


def test_the_agent_itself_is_no_observer_and_each_process_counts_once(other: int) -> None:
    """Its own cost is added where the trial is measured."""
    observers = Observers(environ={NODE_VARIABLE: "1"})
    observers.coordinator = CoordinatorProcess.here()
    found = observers()
    assert other in found
    assert os.getpid() not in found
    assert len(set(found)) == len(found)


def test_a_coordinator_on_the_same_machine_is_an_observer(other: int) -> None:
    """What it costs is in the row; on another machine the same number is somebody else's process."""
    observers = Observers(environ={})
    observers.coordinator = coordinator = replace(CoordinatorProcess.here(), pid=other)
    assert other in observers()
    # Process 2 is no relative of a test: it is counted only where it is said to coordinate here.
    observers.coordinator = replace(coordinator, pid=2, place="another boot or namespace")
    assert 2 not in observers()


def test_on_a_node_of_ours_its_whole_session_is_watched() -> None:
    """On a head that measures, the control server is no child of the raylet."""
    assert set(Observers(environ={})()) <= set(Observers(environ={NODE_VARIABLE: "1"})())


def test_what_the_kernel_and_a_containers_first_process_started_is_no_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their session is 0, as seen from within: all of them, and whatever else runs there."""
    monkeypatch.setattr(os, "getsid", lambda pid: 0)
    assert set(Observers(environ={NODE_VARIABLE: "1"})()) <= set(Observers(environ={})())
