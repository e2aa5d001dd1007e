"""What a network does to a fleet, by the command line: one run lasts through all of it."""

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
from tests.support.network import Network
from tests.support.ray_nodes import FakeMachine
from tests.support.waiting import until

# Those two only wait, so they begin here, and end in the tests of refusals.
pytestmark = [pytest.mark.usefixtures("lonely", "lost"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def token(far_head: FakeMachine) -> Path:
    """The head's."""
    return far_head.state / "ray-token"


@pytest.fixture(scope="module")
def steady(lasting: MakeMachine, far_head: FakeMachine, token: Path) -> FakeMachine:
    """A machine that is always there."""
    one = lasting("steady")
    one.up("--join", far_head.address, token=token)
    return one


@pytest.fixture(scope="module")
def run(far_head: FakeMachine, steady: FakeMachine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetRun]:
    """A run that does not end by itself: there is more to do than time."""
    folder = tmp_path_factory.mktemp("endless")
    with running(FleetRun(far_head, folder, name="endless", repetitions=2000, baseline_s=1.0)) as found:
        found.until_ended("steady", 1)
        yield found
        assert found.stop() == 130


@pytest.fixture(scope="module")
def far(lasting: MakeMachine, far_head: FakeMachine, token: Path, run: FleetRun) -> FakeMachine:
    """A machine that takes part, and whose cable will be pulled."""
    one = lasting("far")
    one.up("--join", far_head.address, token=token)
    run.until_ended("far", 1)
    return one


def starts(machine: FakeMachine) -> list[dict[str, Any]]:
    """Every start of a trial on `machine`, as its agent has noted them."""
    return [json.loads(line) for line in (machine.state / "starts.jsonl").read_text().splitlines()]


def begun_anew(machine: FakeMachine) -> str:
    """The attempt that `machine` begins next."""
    before = len(starts(machine))
    until(lambda: len(starts(machine)) > before)
    return str(starts(machine)[-1]["attempt_id"])


def kept(machine: FakeMachine, attempt_id: str) -> bool:
    """Whether the row of the attempt is in the outbox of `machine`."""
    return any(machine.state.glob(f"outbox/*/{attempt_id}.parquet"))


def tries(run: FleetRun, attempt_id: str) -> list[tuple[int, str]]:
    """Every attempt in the store at the trial of which `attempt_id` is one."""
    (trial_id,) = {row["trial_id"] for row in attempts(run) if row["attempt_id"] == attempt_id}
    return [(row["attempt"], row["status"]) for row in attempts(run) if row["trial_id"] == trial_id]


def attempts(run: FleetRun) -> list[dict[str, Any]]:
    """The attempts in its store."""
    return run.rows("select trial_id, attempt_id, attempt, status from attempts order by all")


def test_a_short_cut_is_not_noticed(net: Network, run: FleetRun, far: FakeMachine) -> None:
    """The trial under way ends while its machine is alone, and counts."""
    assert far.plug is not None
    attempt_id = begun_anew(far)
    net.cut(far.plug)
    until(lambda: kept(far, attempt_id))
    net.plug_in(far.plug)
    run.until_ended("far", run.ended("far") + 2)
    assert tries(run, attempt_id) == [(1, "ok")]
    assert "far: gone" not in run.said


def test_after_a_long_cut_a_machine_hands_over_what_it_finished_meanwhile(
    net: Network, far_head: FakeMachine, run: FleetRun, far: FakeMachine
) -> None:
    """It has left for the head, and its node ends when it hears so; brought up again, it goes on with nothing lost."""
    assert far.plug is not None
    raylet = far.up_record().raylet
    attempt_id = begun_anew(far)
    net.cut(far.plug)
    until(lambda: kept(far, attempt_id))
    run.until_said("^far: gone")
    assert alive(raylet)
    net.plug_in(far.plug)
    until(lambda: not alive(raylet))
    done = run.ended("far")
    far.up("--join", far_head.address)
    run.until_ended("far", done + 2)
    assert tries(run, attempt_id) == [(1, "ok")]
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
    """It says which process on which machine writes to it, and by which epoch."""
    assert run.process is not None
    second = far_head.command("run", str(run.study), "--store", str(run.store), "--address", far_head.address)
    assert second.returncode == 4
    assert f"process {run.process.pid} on head (study endless, since " in second.stderr
    assert "epoch 1) writes to this store" in second.stderr
    assert "joulefleet status --watch" in second.stderr


def test_a_machine_with_the_id_of_another_is_refused(
    far_head: FakeMachine, steady: FakeMachine, token: Path, run: FleetRun, plugged: MakeMachine
) -> None:
    """Both were made from one image; the first goes on."""
    twin = plugged("twin")
    twin.folder.mkdir()
    shutil.copy(steady.folder / "machine-id", twin.folder / "machine-id")
    twin.up("--join", far_head.address, token=token)
    run.until_said(r"^twin-\w+ takes no part: twin has the machine id of steady .*systemd-machine-id-setup")
    run.until_ended("steady", run.ended("steady") + 1)
    (said,) = [now["doing"] for now in run.status()["now"] if now["name"].startswith("twin-")]
    assert said.startswith("refused: twin has the machine id of steady")


def test_a_machine_of_another_version_is_refused(
    far_head: FakeMachine, token: Path, run: FleetRun, tmp_path: Path, plugged: MakeMachine
) -> None:
    """With both versions."""
    import joulefleet

    shutil.copytree(Path(joulefleet.__file__).parent, tmp_path / "old" / "joulefleet")
    module = tmp_path / "old" / "joulefleet" / "__init__.py"
    module.write_text(module.read_text().replace(f'"{joulefleet.__version__}"', '"0.0.7"'))
    old = plugged("old", PYTHONPATH=str(tmp_path / "old"))
    old.up("--join", far_head.address, token=token)
    run.until_said(rf"^old-\w+ takes no part: old has joulefleet 0\.0\.7 instead of {joulefleet.__version__}\. Install")
