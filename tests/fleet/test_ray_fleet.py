"""A fleet of real Ray nodes on this host, each started by `joulefleet node up` with a machine id of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import agent
from coordinator.cluster.interface import CallResult, Command, Fetch, Joined, Left, Prepare, Refused, Run
from coordinator.cluster.ray import RayCluster
from coordinator.cluster.ray.node.processes import alive
from joulefleet.errors import MachineError
from tests.fleet.coordinating import (
    LOSE_ONE_ANSWER,
    NEW_COORDINATOR,
    OLD_COORDINATOR,
    OTHER_STORE_COORDINATOR,
    STORE,
    answer_of,
    answer_to,
    changes_until,
    coordinating,
    joined,
    preparation_of,
    warm_for,
)
from tests.support.ray_nodes import COMMAND, FAST_HEALTH, FakeMachine
from tests.support.wait import until

NOTHING = Prepare(work=())


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[FakeMachine]:
    """Give a head that measures nothing; this process coordinates on it."""
    folder = tmp_path_factory.mktemp("head")
    machine = FakeMachine(folder=folder, cache=cache, name="head", more=FAST_HEALTH)
    machine.up("--head")
    before = dict(os.environ)
    os.environ["JOULEFLEET_STATE"] = str(machine.state)
    yield machine
    os.environ.clear()
    os.environ.update(before)
    machine.down()


@pytest.fixture
def machine(tmp_path: Path, cache: Path, head: FakeMachine) -> Iterator[Callable[[str], FakeMachine]]:
    """Give a maker of machines whose nodes are up during the test."""
    made = []

    def make(name: str) -> FakeMachine:
        one = FakeMachine(folder=tmp_path / name, cache=cache, name=name)
        made.append(one)
        one.up("--join", head.address, token=head.state / "ray-token")
        return one

    yield make
    for one in made:
        one.down()


def endless_call(machine: FakeMachine) -> Fetch:
    """Return a call that the agent never answers: the file to hand over is a pipe into which nobody writes."""
    outbox = machine.state / "outbox" / STORE
    outbox.mkdir(parents=True, exist_ok=True)
    os.mkfifo(outbox / "pipe.parquet")
    return Fetch(attempt_id="pipe")


def has_begun(machine: FakeMachine) -> bool:
    """Tell whether a trial's process has started on the machine."""
    journal = machine.state / "starts.jsonl"
    return journal.exists() and bool(journal.read_text())


def test_machines_join_late_leave_and_come_back(head: FakeMachine, machine: Callable[[str], FakeMachine]) -> None:
    """Two are there at first, one comes later. When a node dies, its call is lost, and the machine may come back."""
    first, _ = machine("first"), machine("second")
    with coordinating(head) as cluster:
        nodes = joined(cluster, "first", "second")
        assert nodes["first"].hello.machine.machine_id != nodes["second"].hello.machine.machine_id
        assert answer_to(cluster, nodes["second"].node, NOTHING) == CallResult(node=nodes["second"].node, call=NOTHING)
        machine("third")
        joined(cluster, "third")

        cluster.start(nodes["first"].node, endless_call(first))
        record = first.up_record()
        os.kill(record.raylet.pid, signal.SIGKILL)
        lost = answer_of(cluster)
        assert (lost.node, type(lost.call)) == (nodes["first"].node, Fetch)
        assert lost.lost
        (left,) = changes_until(cluster, bool)
        assert isinstance(left, Left)
        assert left.node == nodes["first"].node

        # The next `up` ends what a node that crashed has left, so nothing of it measures any more.
        first.up("--join", head.address)
        assert not any(alive(key) for key in record.processes)
        assert not Path(record.folder).exists()
        assert joined(cluster, "first")["first"].node != nodes["first"].node


def test_an_agent_that_dies_in_a_call_is_replaced(head: FakeMachine, machine: Callable[[str], FakeMachine]) -> None:
    """The call is lost, and a new agent joins on the same node."""
    one = machine("one")
    with coordinating(head) as cluster:
        before = joined(cluster, "one")["one"]
        cluster.start(before.node, endless_call(one))
        os.kill(before.hello.pid, signal.SIGKILL)
        assert answer_of(cluster).lost
        seen = changes_until(cluster, lambda seen: any(isinstance(change, Joined) for change in seen))
        assert [type(change) for change in seen] == [Left, Joined]
        assert isinstance(seen[1], Joined)
        assert (seen[1].node, seen[1].hello.pid != before.hello.pid) == (before.node, True)


def test_restart_ends_what_runs_and_dismiss_ends_it_for_good(
    head: FakeMachine, machine: Callable[[str], FakeMachine]
) -> None:
    """After a restart another agent joins; after a dismissal none does, while others go on."""
    one = machine("one")
    machine("other")
    trial = warm_for(60)
    with coordinating(head) as cluster:
        nodes = joined(cluster, "one", "other")
        node, first_pid = nodes["one"].node, nodes["one"].hello.pid
        assert answer_to(cluster, node, preparation_of(trial)).error is None
        cluster.start(node, Run(trial=trial))
        until(lambda: has_begun(one))
        below = psutil.Process(first_pid).children(recursive=True)
        cluster.restart(node)
        assert answer_of(cluster).lost
        second = joined(cluster, "one")["one"]
        assert second.hello.pid != first_pid
        assert psutil.wait_procs(below, timeout=10)[1] == []

        cluster.dismiss(node)
        until(lambda: not psutil.pid_exists(second.hello.pid))
        assert answer_to(cluster, nodes["other"].node, NOTHING).lost is None
        ends = time.monotonic() + 3
        while time.monotonic() < ends:
            assert cluster.answers(1.0) == []
            assert cluster.changes() == []
        cluster.start(node, NOTHING)
        assert answer_of(cluster).lost


def test_a_new_coordinator_finds_the_agent_of_one_that_died(
    head: FakeMachine, machine: Callable[[str], FakeMachine], tmp_path: Path
) -> None:
    """The agent finishes its trial without a coordinator, and although the first answer to the next one is lost."""
    import pickle

    one = machine("one")
    trial = warm_for(6)
    with coordinating(head) as cluster:
        assert answer_to(cluster, joined(cluster, "one")["one"].node, preparation_of(trial)).error is None
    (tmp_path / "trial").write_bytes(pickle.dumps(trial))
    old = subprocess.Popen(
        [sys.executable, "-c", OLD_COORDINATOR, head.address, str(tmp_path / "trial")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert old.stdout is not None
    agent_pid = int(old.stdout.readline())
    until(lambda: has_begun(one))
    old.kill()
    old.communicate()
    new = subprocess.run(
        [sys.executable, "-c", NEW_COORDINATOR, head.address],
        env=os.environ | {"RAY_testing_rpc_failure": LOSE_ONE_ANSWER},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert new.returncode == 0, new.stderr
    assert json.loads(new.stdout) == [agent_pid, trial.attempt_id]
    until(lambda: not psutil.pid_exists(agent_pid))


def test_a_coordinator_of_another_store_ends_nobodys_trial(
    head: FakeMachine, machine: Callable[[str], FakeMachine]
) -> None:
    """It learns that the agent is busy and does not end it, not even when it closes: the trial goes on."""
    one = machine("one")
    trial = warm_for(8)
    with coordinating(head) as cluster:
        agent_of_one = joined(cluster, "one")["one"]
        assert answer_to(cluster, agent_of_one.node, preparation_of(trial)).error is None
        cluster.start(agent_of_one.node, Run(trial=trial))
        until(lambda: has_begun(one))
        other = subprocess.run(
            [sys.executable, "-c", OTHER_STORE_COORDINATOR, head.address],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert other.stdout.strip() == "deferred", other.stderr
        assert answer_of(cluster).data is not None
        assert psutil.pid_exists(agent_of_one.hello.pid)
        assert answer_to(cluster, agent_of_one.node, NOTHING).lost is None
    until(lambda: not psutil.pid_exists(agent_of_one.hello.pid))


def test_a_node_without_identity_is_refused_and_asked_again_when_it_returns(
    head: FakeMachine, machine: Callable[[str], FakeMachine]
) -> None:
    """Reason and cure are those of its agent. Once the machine is repaired, its node joins."""
    one = machine("one")
    one.down()
    (one.folder / "machine-id").write_text("")
    with coordinating(head) as cluster:
        one.up("--join", head.address)
        (refused,) = changes_until(cluster, bool)
        assert isinstance(refused, Refused)
        assert "this machine has no id" in refused.why
        assert "systemd-machine-id-setup" in refused.cure
        (one.folder / "machine-id").write_text("0123456789abcdef")
        one.down()
        one.up("--join", head.address)
        joined(cluster, "one")


NO_AGENT_IN_WORKERS = f"""
import sys
if "worker" in sys.argv[0]:
    raise ImportError("no agent here")
__path__ = {agent.__path__!r}
"""


def test_a_node_without_joulefleet_is_refused(
    head: FakeMachine, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run does not stop, and the agent is not started again and again."""
    broken = tmp_path / "broken" / "agent"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text(NO_AGENT_IN_WORKERS)
    path = os.pathsep.join([str(broken.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    bare = FakeMachine(folder=tmp_path / "bare", cache=cache, name="bare", more={"PYTHONPATH": path})
    # Ray has its workers look for modules in the coordinator's folder too.
    monkeypatch.chdir(tmp_path)
    bare.up("--join", head.address, token=head.state / "ray-token")
    try:
        with coordinating(head) as cluster:
            (refused,) = changes_until(cluster, bool)
    finally:
        bare.down()
    assert isinstance(refused, Refused)
    assert "no agent here" in refused.why


def test_a_head_that_is_not_there_and_a_wrong_token_are_errors_with_cures(
    head: FakeMachine, tmp_path: Path, cache: Path
) -> None:
    """This holds for a coordinator and for a node, within seconds and without a traceback."""
    with pytest.raises(MachineError, match="no head answers"):
        RayCluster(Command(store_id=STORE, epoch=1), "127.0.0.1:1")
    stranger = FakeMachine(folder=tmp_path / "stranger", cache=cache, name="stranger")
    none = stranger.command("node", "up", "--join", head.address, "--port-base", str(stranger.base))
    assert (none.returncode, "there is no token" in none.stderr) == (5, True)
    (stranger.state / "ray-token").write_text("0123456789abcdef0123456789abcdef")
    (stranger.state / "ray-token").chmod(0o600)
    wrong = stranger.command("node", "up", "--join", head.address, "--port-base", str(stranger.base))
    assert (wrong.returncode, "does not accept this token" in wrong.stderr) == (5, True)
    study = tmp_path / "study.yaml"
    run = stranger.command("run", "quick", "--store", str(study.with_suffix("")), "--address", head.address)
    assert (run.returncode, "does not accept this token" in run.stderr) == (5, True)
    assert "Traceback" not in none.stderr + wrong.stderr + run.stderr


def test_a_second_node_is_refused_and_down_ends_exactly_the_first(
    head: FakeMachine, machine: Callable[[str], FakeMachine]
) -> None:
    """`up` says that one is up. `down` leaves neither a process nor a folder, and ends nothing of other nodes."""
    one = machine("one")
    record = one.up_record()
    again = one.command("node", "up", "--head")
    assert (again.returncode, "is up here already" in again.stderr) == (5, True)
    assert json.loads((one.state / "ray-node.json").read_text())["folder"] == record.folder
    one.down()
    assert not any(alive(key) for key in record.processes)
    assert not Path(record.folder).exists()
    assert alive(head.up_record().raylet)
    assert "No node is up here" in one.command("node", "down").stderr


def test_a_foreground_node_ends_at_a_signal_and_when_ray_ends(head: FakeMachine, tmp_path: Path, cache: Path) -> None:
    """As a service needs it: SIGTERM ends the node without an error, and the end of Ray is an error."""
    one = FakeMachine(folder=tmp_path / "one", cache=cache, name="one")
    shutil.copytree(head.state, one.state, ignore=shutil.ignore_patterns("ray-node*"))
    for by_signal, code in ((True, 0), (False, 5)):
        process = subprocess.Popen(
            [*COMMAND, "node", "up", "--join", head.address, "--foreground", "--port-base", str(one.base)],
            env=one.environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        assert "is up" in process.stderr.readline()
        raylet = one.up_record().raylet
        os.kill(process.pid if by_signal else raylet.pid, signal.SIGTERM if by_signal else signal.SIGKILL)
        process.communicate(timeout=60)
        assert process.returncode == code
        assert not alive(raylet)


def test_when_the_head_has_gone_the_coordinator_says_so_and_ends(tmp_path: Path, cache: Path) -> None:
    """Ray itself would wait for a minute and then end the process without a message."""
    machine = FakeMachine(folder=tmp_path / "lone", cache=cache, name="lone")
    machine.up("--head")
    servers = [key.pid for key in machine.up_record().processes if key.name == "gcs_server"]
    try:
        done = subprocess.run(
            [sys.executable, "-c", HEADLESS, machine.address, *map(str, servers)],
            env=machine.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        machine.down()
    assert (done.returncode, done.stdout.strip()) == (5, "the head has gone"), done.stderr


HEADLESS = """
import os, signal, sys, time
from coordinator.cluster.interface import Command
from coordinator.cluster.ray import RayCluster
from coordinator.cluster.ray.node.processes import alive, process
from joulefleet.errors import MachineError

cluster = RayCluster(Command(store_id="store", epoch=1), sys.argv[1], head_patience_s=3)
server = process(int(sys.argv[2])).key
os.kill(server.pid, signal.SIGKILL)
while alive(server):
    time.sleep(0.01)
try:
    while True:
        cluster.answers(1.0)
        cluster.changes()
except MachineError as error:
    print("the head has gone" if "has gone" in str(error) else error)
cluster.close()
"""
