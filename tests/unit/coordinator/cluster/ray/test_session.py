import socket
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from coordinator.cluster.ray.auth import need_token
from coordinator.cluster.ray.network import (
    address_to_listen_on,
    check_ports,
    host_and_port,
    own_address,
    wait_for_head,
)
from coordinator.cluster.ray.node.foreground import Heartbeat, foreground_lock
from coordinator.cluster.ray.node.processes import ProcessKey
from coordinator.cluster.ray.node.state import NodeRecord, delete_record, read_record, write_record
from coordinator.cluster.ray.session import Head
from joulefleet.errors import MachineError


@pytest.fixture
def listener() -> socket.socket:
    """Something that listens on a port of this machine."""
    return socket.create_server(("127.0.0.1", 0))


def address_of(listener: socket.socket) -> str:
    """Its address."""
    return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("address", ["auto", "host", "host:", ":6379", "host:70000", "host:ray", "ray://host:x"])
def test_what_is_no_host_and_port_is_refused(address: str) -> None:
    """`auto` would join whatever cluster was left running here."""
    with pytest.raises(MachineError, match="HOST:PORT"):
        host_and_port(address)


def test_a_head_that_comes_later_is_waited_for(listener: socket.socket) -> None:
    """Machines that start together need not start in order; but the wait has an end."""
    wait_for_head(address_of(listener), wait_s=0)
    address = address_of(listener)
    listener.close()
    with pytest.raises(MachineError, match="no head answers"):
        wait_for_head(address, wait_s=0.6)


def test_a_head_is_gone_only_after_some_time(listener: socket.socket) -> None:
    """A network that stutters ends no study; a head that stays away does, before Ray ends the process."""
    now = 0.0
    head = Head(address_of(listener), gone_after_s=20, nodes=lambda: [{"NodeID": "a"}], clock=lambda: now)
    assert head.nodes() == [{"NodeID": "a"}]
    listener.close()
    assert head.nodes() is None
    now = 19.0
    assert head.nodes() is None
    now = 21.0
    with pytest.raises(MachineError, match="has gone"):
        head.nodes()


def test_a_head_that_listens_and_does_not_answer_is_gone(listener: socket.socket) -> None:
    """Ray's own call would not return, and could not be interrupted."""
    release = threading.Event()

    def hangs() -> list[dict[str, Any]]:
        release.wait()
        return []

    with listener, pytest.raises(MachineError, match="has gone"):
        Head(address_of(listener), gone_after_s=0.1, nodes=hangs).nodes()
    release.set()


def test_a_head_that_was_started_anew_is_another_cluster(listener: socket.socket) -> None:
    """Ray would crash if it were asked for its nodes: it is looked at first, once it has been away."""
    clusters = ["one", "two"]
    address = address_of(listener)
    head = Head(
        address, gone_after_s=20, nodes=list, session="one", session_now=lambda: clusters.pop(0), clock=lambda: 0
    )
    assert head.nodes() == []
    assert clusters == ["one", "two"]
    for back in (True, False):
        listener.close()
        assert head.nodes() is None
        listener = socket.create_server(("127.0.0.1", int(address.rpartition(":")[2])))
        with listener:
            if back:
                assert head.nodes() == []
            else:
                with pytest.raises(MachineError, match="started anew"):
                    head.nodes()


def test_a_port_in_use_is_named(listener: socket.socket) -> None:
    """Ray would start, and fail a minute later without saying which."""
    port = listener.getsockname()[1]
    with listener, pytest.raises(MachineError, match=f"port {port} is in use"):
        check_ports("127.0.0.1", [port])


def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    """192.0.2.0/24 belongs to nobody."""
    with pytest.raises(MachineError, match="an address of this machine"):
        check_ports("198.51.100.1", [29999])


def test_the_own_address_is_the_one_on_the_way_to_the_head() -> None:
    """A machine has many; the head sees this one."""
    assert own_address("127.0.0.1:6379") == "127.0.0.1"
    assert own_address(None) is None


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    """`down` ends what it says, perhaps weeks later."""
    key = ProcessKey(pid=1, started=2, name="raylet")
    record = NodeRecord(
        boot_id="boot", head="h:1", folder="/f", session=3, raylet=key, processes=(key,), access={"RAY_USE_TLS": "1"}
    )
    assert read_record(tmp_path / "state") is None
    write_record(tmp_path / "state", record)
    assert read_record(tmp_path / "state") == record
    delete_record(tmp_path / "state")
    assert read_record(tmp_path / "state") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"processes": [{}]}'])
def test_a_record_that_is_damaged_is_an_error_with_a_cure(tmp_path: Path, text: str) -> None:
    """Nothing is ended by guess."""
    (tmp_path / "ray-node.json").write_text(text)
    with pytest.raises(MachineError, match="end them by hand"):
        read_record(tmp_path)


def test_a_token_that_others_can_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And so is none, and an empty one."""
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "before")
    token = tmp_path / "token"
    with pytest.raises(MachineError, match="there is no token"):
        need_token(token, whose="the head")
    token.write_text("")
    with pytest.raises(MachineError, match="empty"):
        need_token(token, whose="the head")
    token.write_text("secret")
    token.chmod(0o640)
    with pytest.raises(MachineError, match="chmod 600"):
        need_token(token, whose="the head")
    token.chmod(0o600)
    need_token(token, whose="the head")


def test_an_address_to_listen_on_is_an_address_a_name_or_found_out() -> None:
    """A container knows neither its own address nor the head's before they are up."""
    assert address_to_listen_on("192.0.2.7", None, wait_s=0) == "192.0.2.7"
    assert address_to_listen_on("localhost", None, wait_s=0) in {"127.0.0.1", "::1"}
    assert address_to_listen_on("auto", "127.0.0.1:6379", wait_s=0) == "127.0.0.1"
    for listen, join in (("no-such-name.invalid", None), ("auto", "no-such-name.invalid:6379")):
        with pytest.raises(MachineError, match="--listen"):
            address_to_listen_on(listen, join, wait_s=0)


def test_the_heart_beats_only_while_the_node_answers(tmp_path: Path, listener: socket.socket) -> None:
    """A health check looks at nothing but the age of the file."""
    beating, dead = tmp_path / "beating", tmp_path / "dead"
    address = address_of(listener)
    with listener:
        Heartbeat(beating, address).beat()
        assert beating.exists()
        # Where it cannot be written it grows old; the node goes on.
        Heartbeat(tmp_path / "nowhere" / "file", address).beat()
    Heartbeat(dead, address).beat()
    assert not dead.exists()


def test_the_modes_of_a_mounted_secret_are_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user is seldom the one who owns the file on the host."""
    monkeypatch.setattr(Path, "stat", lambda self: SimpleNamespace(st_mode=0o100444))
    monkeypatch.setattr(Path, "read_bytes", lambda self: b"secret")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "before")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    need_token(Path("/run/secrets/token"), whose="the head")
    with pytest.raises(MachineError, match="chmod 600"):
        need_token(Path("/home/someone/token"), whose="the head")


def test_one_state_folder_has_one_node_in_the_foreground(tmp_path: Path) -> None:
    """Containers that share a volume cannot see that the other one's processes run."""
    with foreground_lock(tmp_path), pytest.raises(MachineError, match="another container"), foreground_lock(tmp_path):
        pass
    with foreground_lock(tmp_path):
        pass
