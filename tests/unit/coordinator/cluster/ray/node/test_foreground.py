"""A node that lives as long as one process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.cluster.ray.node.foreground import Heartbeat, foreground_lock
from joulefleet.errors import MachineError
from tests.support.network_namespaces import listening

WAITS = """
import sys
from coordinator.cluster.ray.node.foreground import StopSignals
from coordinator.cluster.ray.node.processes import process
from coordinator.cluster.ray.node.state import NodeRecord

raylet = process(int(sys.argv[1])).key
record = NodeRecord(boot_id=None, head="h:1", folder="/f", session=1, raylet=raylet, processes=(raylet,))
signals = StopSignals()
print("ready", flush=True)
print(signals.wait(record, None), flush=True)
"""


def test_the_heart_beats_only_while_the_node_answers(tmp_path: Path) -> None:
    """A health check looks at nothing but the age of the file."""
    beating, dead = tmp_path / "beating", tmp_path / "dead"
    with listening() as address:
        Heartbeat(beating, address).beat()
        assert beating.exists()
        # A file that cannot be written grows old; the node goes on.
        Heartbeat(tmp_path / "nowhere" / "file", address).beat()
    Heartbeat(dead, address).beat()
    assert not dead.exists()


def test_one_state_folder_has_one_node_in_the_foreground(tmp_path: Path) -> None:
    """Containers that share a volume do not see each other's processes."""
    with (
        foreground_lock(tmp_path),
        pytest.raises(MachineError, match="another container"),
        foreground_lock(tmp_path),
    ):
        pass
    with foreground_lock(tmp_path):
        pass


def test_a_lock_in_a_folder_that_cannot_be_written_has_a_cure(tmp_path: Path) -> None:
    """The state folder is a setting."""
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="JOULEFLEET_STATE"), foreground_lock(tmp_path / "file" / "state"):
        pass


@pytest.mark.parametrize(("by_signal", "answer"), [(True, "True"), (False, "False")])
def test_a_node_is_waited_for_until_it_ends_or_a_signal_asks(by_signal: bool, answer: str) -> None:  # noqa: FBT001 - a case
    """A second signal does not interrupt the ending, and the end of the node is not taken for a request."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as node:
        waits = subprocess.Popen(
            [sys.executable, "-c", WAITS, str(node.pid)], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        assert waits.stdout is not None
        assert waits.stdout.readline() == "ready\n"
        if by_signal:
            waits.send_signal(signal.SIGTERM)
            waits.send_signal(signal.SIGINT)
        else:
            node.kill()
        assert waits.communicate(timeout=60)[0] == f"{answer}\n"
        assert waits.returncode == 0
        node.kill()
