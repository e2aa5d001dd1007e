import os
from dataclasses import replace

from coordinator.cluster.ray.observers import NODE_VARIABLE, Coordinator, Observers


def test_the_agent_itself_is_no_observer_and_each_process_counts_once() -> None:
    """Its own cost is added where the trial is measured."""
    observers = Observers(environ={NODE_VARIABLE: "1"})
    observers.coordinator = Coordinator.here()
    found = observers()
    assert os.getpid() not in found
    assert len(set(found)) == len(found)
    assert 1 not in found


def test_a_coordinator_on_the_same_machine_is_an_observer() -> None:
    """What it costs is in the row; on another machine the same number is somebody else's process."""
    observers = Observers(environ={})
    coordinator = replace(Coordinator.here(), pid=os.getppid())
    observers.coordinator = coordinator
    assert os.getppid() in observers()
    # Process 2 is no relative of a test: it is counted only where it is said to coordinate here.
    observers.coordinator = replace(coordinator, pid=2, place="another boot or namespace")
    assert 2 not in observers()


def test_on_a_node_of_ours_its_whole_session_is_watched() -> None:
    """On a head that measures, the control server is no child of the raylet."""
    assert set(Observers(environ={})()) <= set(Observers(environ={NODE_VARIABLE: "1"})())
