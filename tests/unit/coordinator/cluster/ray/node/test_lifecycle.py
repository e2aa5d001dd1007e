"""What `up` refuses and what `down` ends; tests/fleet starts real nodes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.host.machine import boot_id
from coordinator.cluster.ray.auth import MODE_VARIABLE, PATH_VARIABLE
from coordinator.cluster.ray.network import host_and_port
from coordinator.cluster.ray.node.lifecycle import NodeEnded, down, locked, up
from coordinator.cluster.ray.node.processes import process
from coordinator.cluster.ray.node.spec import NodePlan, Ports
from coordinator.cluster.ray.node.state import NodeRecord, read_record, write_record
from joulefleet.errors import MachineError
from tests.support.network_namespaces import listening

THIS_BOOT = boot_id(Path("/proc"))


@pytest.fixture
def raylet() -> Iterator[subprocess.Popen[bytes]]:
    """Give a process in a session of its own, in the place of a raylet."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as child:
        yield child
        child.kill()


@pytest.fixture
def own_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the token that a test makes."""
    for name in (MODE_VARIABLE, PATH_VARIABLE):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def record_of(raylet: subprocess.Popen[bytes], folder: Path, *, boot: str | None = THIS_BOOT) -> NodeRecord:
    """Return the record of a node of one process."""
    found = process(raylet.pid)
    assert found is not None
    folder.mkdir()
    return NodeRecord(
        boot_id=boot,
        head="192.0.2.7:6379",
        folder=str(folder),
        session=raylet.pid,
        raylet=found.key,
        processes=(found.key,),
    )


def head(*, base: int = 29000) -> NodePlan:
    """Return a head on loopback."""
    return NodePlan(join=None, listen="127.0.0.1", ports=Ports(base=base), measures=False)


def test_down_ends_what_is_recorded_and_its_folder(tmp_path: Path, raylet: subprocess.Popen[bytes]) -> None:
    """Where nothing is recorded it ends nothing."""
    state = tmp_path / "state"
    assert down(state) is None
    write_record(state, record_of(raylet, tmp_path / "node"))
    assert down(state) == NodeEnded(head="192.0.2.7:6379", processes=1)
    assert raylet.wait() == -signal.SIGTERM
    assert not (tmp_path / "node").exists()
    assert read_record(state) is None


def test_a_record_of_another_boot_names_no_process_of_this_one(tmp_path: Path, raylet: subprocess.Popen[bytes]) -> None:
    """After a restart the same id and start may be another process's."""
    write_record(tmp_path, record_of(raylet, tmp_path / "node", boot="another"))
    assert down(tmp_path) == NodeEnded(head="192.0.2.7:6379", processes=0)
    assert raylet.poll() is None
    assert read_record(tmp_path) is None


def test_a_second_node_is_refused_while_the_first_is_up(tmp_path: Path, raylet: subprocess.Popen[bytes]) -> None:
    """Its record stays."""
    record = record_of(raylet, tmp_path / "node")
    write_record(tmp_path, record)
    with pytest.raises(MachineError, match="is up here already"):
        up(head(), state=tmp_path, token=None, tls=None)
    assert read_record(tmp_path) == record


@pytest.mark.usefixtures("own_token")
def test_what_a_crashed_node_left_is_tidied_up_before_a_new_one_is_checked(
    tmp_path: Path, raylet: subprocess.Popen[bytes]
) -> None:
    """A port in use is an error before anything is started."""
    record = record_of(raylet, tmp_path / "node")
    raylet.kill()
    raylet.wait()
    write_record(tmp_path, record)
    with listening() as address:
        _, port = host_and_port(address)
        with pytest.raises(MachineError, match=f"port {port} is in use"):
            up(head(base=port), state=tmp_path, token=None, tls=None)
    assert read_record(tmp_path) is None
    assert not (tmp_path / "node").exists()
    assert os.environ[MODE_VARIABLE] == "token"


def test_one_command_at_a_time_changes_the_node(tmp_path: Path) -> None:
    """The lock is given back, whatever happens in between."""
    taken = MachineError("taken.", cure="Wait.")
    with locked(tmp_path, "ray-node.lock", taken), pytest.raises(MachineError, match="another `joulefleet node`"):
        down(tmp_path)
    assert down(tmp_path) is None
