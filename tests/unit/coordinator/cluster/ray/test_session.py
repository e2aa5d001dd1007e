"""Whether the head of a cluster is there, has gone, or is another one."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from coordinator.cluster.ray.session import Head
from joulefleet.errors import MachineError
from tests.support.network_namespaces import listening


def test_a_head_is_gone_only_after_some_time() -> None:
    """A short outage of the network ends no study; a head that stays away does, before Ray ends the process."""
    now_s = 0.0
    with listening() as address:
        head = Head(address, gone_after_s=20, nodes=lambda: [{"NodeID": "a"}], clock=lambda: now_s)
        assert head.nodes() == [{"NodeID": "a"}]
    assert head.nodes() is None
    now_s = 19.0
    assert head.nodes() is None
    now_s = 21.0
    with pytest.raises(MachineError, match="has gone"):
        head.nodes()


def test_a_head_that_listens_and_does_not_answer_is_gone_for_good() -> None:
    """Ray's own call would not return, and could not be interrupted: it must not be asked again, whatever listens."""
    release = threading.Event()

    def hang() -> list[dict[str, Any]]:
        release.wait()
        return []

    with listening() as address:
        head = Head(address, gone_after_s=0.1, nodes=hang)
        assert head.is_there()
        with pytest.raises(MachineError, match="has gone"):
            head.nodes()
        assert not head.is_there()
    release.set()


def test_a_head_that_was_started_anew_is_another_cluster() -> None:
    """Ray would crash if it were asked for its nodes: the session is compared first, once the head has been away."""
    sessions = ["one", "two"]
    with listening() as address:
        head = Head(
            address, gone_after_s=20, nodes=list, session="one", session_now=lambda: sessions.pop(0), clock=lambda: 0
        )
        assert head.nodes() == []
    assert sessions == ["one", "two"], "nobody asks while the head is there"
    port = int(address.rpartition(":")[2])
    assert head.nodes() is None
    with socket.create_server(("127.0.0.1", port)):
        assert head.nodes() == []
    assert head.nodes() is None
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(MachineError, match="started anew"):
            head.nodes()
        assert not head.is_there()
