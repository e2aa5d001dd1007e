"""Commands that fail across a network: each ends in bounded time with one line that has a cure."""

from __future__ import annotations

import subprocess
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from tests.fleet.conftest import Lost, MakeMachine
from tests.fleet.fleet_run import FleetRun
from tests.support.ray_nodes import COMMAND, FakeMachine


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Check that a command ended with a MachineError whose message has all `words`."""
    assert done.returncode == 5, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_a_token_of_another_cluster_is_refused(far_head: FakeMachine, plugged: MakeMachine, tmp_path: Path) -> None:
    """This holds for a node and for a coordinator. Without a token, the message says where to get it."""
    stranger = plugged("stranger")
    assert stranger.plug is not None
    up = ("node", "up", "--join", far_head.address, "--listen", stranger.plug.address)
    run = ("run", "quick", "--store", str(tmp_path / "store"), "--address", far_head.address)
    refused(stranger.command(*up), "there is no token for the head at", "Copy it from the machine of the head")
    token = stranger.state / "ray-token"
    token.write_text("0123456789abcdef0123456789abcdef")
    token.chmod(0o600)
    for command in (up, run):
        refused(stranger.command(*command), "does not accept this token", "Copy the token from the machine of the head")


def test_a_node_without_a_token_listens_on_loopback_alone(plugged: MakeMachine) -> None:
    """Anyone on the network could run programs there."""
    open_to_all = plugged("open", RAY_AUTH_MODE="disabled")
    assert open_to_all.plug is not None
    done = open_to_all.command("node", "up", "--head", "--listen", open_to_all.plug.address)
    refused(done, "without a token: anyone who reaches that address could run programs here", "Unset $RAY_AUTH_MODE")


def test_a_node_that_would_listen_on_loopback_is_told_its_address(far_head: FakeMachine, plugged: MakeMachine) -> None:
    """The head could not reach it there."""
    forgetful = plugged("forgetful")
    assert forgetful.plug is not None
    done = forgetful.command("node", "up", "--join", far_head.address)
    refused(done, "could not reach a node that listens on 127.0.0.1", f"Add --listen {forgetful.plug.address}")


def test_a_coordinator_needs_a_node_on_its_machine(far_head: FakeMachine, plugged: MakeMachine, tmp_path: Path) -> None:
    """Ray needs it; the message says how to start one that measures nothing."""
    apart = plugged("apart")
    assert apart.plug is not None
    apart.copy_token(far_head.state / "ray-token")
    # In a process namespace of its own: Ray finds nodes by their processes.
    inside = [*apart.plug.inside, "unshare", "--pid", "--fork", "--mount-proc", *COMMAND]
    done = subprocess.run(
        [*inside, "run", "quick", "--store", str(tmp_path / "store"), "--address", far_head.address],
        env=apart.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    refused(done, "runs on this machine, and a coordinator needs one on its machine", "--no-measure-here")


def test_another_version_of_ray_is_refused(far_head: FakeMachine, plugged: MakeMachine, tmp_path: Path) -> None:
    """The message names the versions of both sides."""
    other = tmp_path / "ray"
    other.mkdir()
    # Ray is not imported: it would read its settings, which other tests in this process still have to set.
    found = find_spec("ray")
    assert found is not None
    assert found.origin is not None
    installed, own = Path(found.origin).parent, version("ray")
    for file in installed.iterdir():
        if file.name not in {"_version.py", "__pycache__"}:
            (other / file.name).symlink_to(file)
    (other / "_version.py").write_text((installed / "_version.py").read_text().replace(own, "2.59.9"))
    old = plugged("old", PYTHONPATH=str(tmp_path))
    assert old.plug is not None
    old.copy_token(far_head.state / "ray-token")
    done = old.command("node", "up", "--join", far_head.address, "--listen", old.plug.address)
    refused(done, f"runs Ray {own} on Python", "this machine Ray 2.59.9", "Install the same versions")


def test_a_head_that_does_not_answer_is_an_error_within_seconds(lost: Lost, tmp_path: Path) -> None:
    """A coordinator does not wait for a head; a node waits half a minute, as machines may start in any order."""
    begun = time.monotonic()
    done = lost.machine.command("run", "quick", "--store", str(tmp_path / "store"), "--address", lost.head)
    refused(done, f"no head answers at {lost.head} (timed out)", "the firewall between")
    assert time.monotonic() - begun < 30
    assert lost.waiting.wait(90) == 5
    assert f"no head answers at {lost.head} (timed out)" in lost.output.read_text()


def test_a_run_to_which_no_machine_comes_ends(lonely: FleetRun) -> None:
    """It waits for a minute and ends with the exit code of a MachineError."""
    assert lonely.wait() == 5
    assert "waiting for a machine to join" in lonely.output
    assert "no machine has joined within" in lonely.output
    assert "joulefleet node up --join" in lonely.output
