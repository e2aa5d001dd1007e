"""Faults of the network under one long run, by the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator.cluster.ray.node.processes import alive
from tests.fleet.conftest import MakeMachine
from tests.fleet.fleet_run import FleetRun, running
from tests.support.network_namespaces import Network
from tests.support.ray_nodes import FakeMachine
from tests.support.wait import until

# These two fixtures only wait: they start here, and the tests of refusals look at their end.
pytestmark = [pytest.mark.usefixtures("lonely", "lost"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def token(far_head: FakeMachine) -> Path:
    """Return the head's token."""
    return far_head.state / "ray-token"


@pytest.fixture(scope="module")
def steady(lasting: MakeMachine, far_head: FakeMachine, token: Path) -> FakeMachine:
    """Return a machine that is always there."""
    one = lasting("steady")
    one.up("--join", far_head.address, token=token)
    return one


@pytest.fixture(scope="module")
def run(far_head: FakeMachine, steady: FakeMachine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetRun]:
    """Give a run that has more to do than there is time."""
    folder = tmp_path_factory.mktemp("endless")
    with running(FleetRun(far_head, folder, name="endless", repetitions=2000, baseline_s=1.0)) as started:
        started.until_ended("steady", 1)
        yield started
        assert started.stop() == 130


@pytest.fixture(scope="module")
def far(lasting: MakeMachine, far_head: FakeMachine, token: Path, run: FleetRun) -> FakeMachine:
    """Return a machine that takes part and will be unplugged."""
    one = lasting("far")
    one.up("--join", far_head.address, token=token)
    run.until_ended("far", 1)
    return one


def starts(machine: FakeMachine) -> list[dict[str, Any]]:
    """Return every start of a trial on `machine`, from its agent's journal."""
    return [json.loads(line) for line in (machine.state / "starts.jsonl").read_text().splitlines()]


def next_start(machine: FakeMachine) -> str:
    """Wait for the next trial that `machine` starts; return its attempt."""
    before = len(starts(machine))
    until(lambda: len(starts(machine)) > before)
    return str(starts(machine)[-1]["attempt_id"])


def is_in_outbox(machine: FakeMachine, attempt_id: str) -> bool:
    """Tell whether the row of the attempt is in the outbox of `machine`."""
    return any(machine.state.glob(f"outbox/*/{attempt_id}.parquet"))


def attempts_at(run: FleetRun, attempt_id: str) -> list[tuple[int, str]]:
    """Return every attempt in the store at the trial of `attempt_id`: number and status."""
    (trial_id,) = {row["trial_id"] for row in attempts(run) if row["attempt_id"] == attempt_id}
    return [(row["attempt"], row["status"]) for row in attempts(run) if row["trial_id"] == trial_id]


def attempts(run: FleetRun) -> list[dict[str, Any]]:
    """Return the attempts in the store."""
    return run.rows("select trial_id, attempt_id, attempt, status from attempts order by all")


def test_a_short_outage_is_not_noticed(net: Network, run: FleetRun, far: FakeMachine) -> None:
    """The trial that runs ends while its machine is unplugged, and counts."""
    assert far.plug is not None
    attempt_id = next_start(far)
    net.cut(far.plug)
    until(lambda: is_in_outbox(far, attempt_id))
    net.plug_in(far.plug)
    run.until_ended("far", run.ended("far") + 2)
    assert attempts_at(run, attempt_id) == [(1, "ok")]
    assert "far: gone" not in run.output


def test_after_a_long_outage_a_machine_hands_over_what_it_finished_meanwhile(
    net: Network, far_head: FakeMachine, run: FleetRun, far: FakeMachine
) -> None:
    """The head counts it as gone, and its node ends when it learns that. Started again, it has lost nothing."""
    assert far.plug is not None
    raylet = far.up_record().raylet
    attempt_id = next_start(far)
    net.cut(far.plug)
    until(lambda: is_in_outbox(far, attempt_id))
    run.until_line("^far: gone")
    assert alive(raylet)
    net.plug_in(far.plug)
    until(lambda: not alive(raylet))
    done = run.ended("far")
    far.up("--join", far_head.address)
    run.until_ended("far", done + 2)
    assert attempts_at(run, attempt_id) == [(1, "ok")]
    assert [start["attempt_id"] for start in starts(far)].count(attempt_id) == 1


def test_a_machine_with_another_address_is_the_same_one(
    net: Network, far_head: FakeMachine, run: FleetRun, far: FakeMachine
) -> None:
    """Its trials go on where they were."""
    assert far.plug is not None
    far.down()
    before = far.plug.address
    net.renumber(far.plug)
    assert far.plug.address != before
    done = run.ended("far")
    far.up("--join", far_head.address)
    run.until_ended("far", done + 2)
    (study,) = run.status()["studies"]
    assert [machine["name"] for machine in study["machines"]].count("far") == 1
    (row,) = run.rows("select count(distinct machine_id) ids from trials where machine = 'far'")
    assert row["ids"] == 1


def test_a_second_run_of_the_store_is_refused(far_head: FakeMachine, run: FleetRun) -> None:
    """The message names the process, its machine and its epoch."""
    assert run.process is not None
    second = far_head.command("run", str(run.study), "--store", str(run.store), "--address", far_head.address)
    assert second.returncode == 4
    assert f"process {run.process.pid} on head (study endless, since " in second.stderr
    assert "epoch 1) writes to this store" in second.stderr
    assert "joulefleet status --watch" in second.stderr


def test_a_machine_with_the_id_of_another_is_refused(
    far_head: FakeMachine, steady: FakeMachine, token: Path, run: FleetRun, plugged: MakeMachine
) -> None:
    """Both were made from one disk image. The first one goes on."""
    twin = plugged("twin")
    twin.folder.mkdir()
    shutil.copy(steady.folder / "machine-id", twin.folder / "machine-id")
    twin.up("--join", far_head.address, token=token)
    run.until_line(r"^twin-\w+ was refused: twin has the machine id of steady .*systemd-machine-id-setup")
    run.until_ended("steady", run.ended("steady") + 1)
    (doing,) = [now["doing"] for now in run.status()["now"] if now["name"].startswith("twin-")]
    assert doing.startswith("refused: twin has the machine id of steady")


def test_a_machine_of_another_version_is_refused(
    far_head: FakeMachine, token: Path, run: FleetRun, tmp_path: Path, plugged: MakeMachine
) -> None:
    """The message names both versions."""
    import joulefleet

    shutil.copytree(Path(joulefleet.__file__).parent, tmp_path / "old" / "joulefleet")
    module = tmp_path / "old" / "joulefleet" / "__init__.py"
    module.write_text(module.read_text().replace(f'"{joulefleet.__version__}"', '"0.0.7"'))
    old = plugged("old", PYTHONPATH=str(tmp_path / "old"))
    old.up("--join", far_head.address, token=token)
    run.until_line(rf"^old-\w+ was refused: old has joulefleet 0\.0\.7 instead of {joulefleet.__version__}\. Install")
