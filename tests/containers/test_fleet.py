"""A fleet of containers under faults."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.simulation.tree import POWERCAP
from tests.containers.container_fleet import ContainerFleet, running
from tests.containers.engine import Engine
from tests.soak.checker import check
from tests.soak.record import Eye, Record
from tests.soak.studies import Studies
from tests.support.wait import until

MACHINES = ("north", "south", "west")
REPETITIONS = 36


@pytest.fixture
def live_tree(tmp_path: Path) -> Iterator[Path]:
    """A machine's energy counters, which go on counting."""
    root = tmp_path / "machine"
    process = subprocess.Popen([sys.executable, "-m", "agent.simulation", "--root", str(root)])
    until(lambda: (root / POWERCAP).is_dir() or process.poll() is not None)
    yield root / POWERCAP
    process.terminate()
    process.wait()


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[None]:
    """Mount a file system of so many MiB at `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["/bin/umount", "--lazy", str(folder)], check=True)


@pytest.mark.timeout(1500)
def test_a_study_survives_what_befalls_its_containers(host: Engine, tmp_path: Path, live_tree: Path) -> None:
    """One is killed, one disconnected, the head restarted, an outbox filled: every trial is measured once."""
    studies = Studies(folder=tmp_path, seed=1, machines=MACHINES, step=REPETITIONS, names=("steady",))
    studies.grow()
    (tmp_path / "seen").mkdir()
    record = Record(tmp_path / "soak.jsonl")
    west = tmp_path / "machines" / "west" / "state"
    with small_disk(west, 4):
        fleet = ContainerFleet(host=host, folder=tmp_path, machines={name: {} for name in MACHINES}, powercap=live_tree)
        eye = Eye({name: fleet.of(name) / "state" / "outbox" for name in MACHINES}, record)
        with running(fleet):
            eye.open()
            for name in MACHINES:
                fleet.until_more(name, 2)
            fleet.kill("north")
            _fill(west / "filler")
            fleet.until_said("run", "^west: .*nothing can be stored there")
            (west / "filler").unlink()
            fleet.until_more("north", 2)
            fleet.cut("south")
            fleet.until_said("run", "^south: gone", seconds=240)
            fleet.heal("south")
            fleet.until_more("south", 2)
            # The run ends without its head and is begun again; with it west may take part again.
            fleet.host.docker("restart", "--time", "10", fleet.container("head"))
            fleet.until_more("west", 2)
            assert fleet.wait() == 0
            eye.close()
            record.close()
            # Its head was started anew: said in words, not by a crash.
            assert "StackTrace" not in fleet.logs("run")
            broken = check(tmp_path)
            assert not broken, broken
            counted = fleet.rows(
                "select machine, count(*) n, any_value(environment) environment, any_value(runtime) runtime, "
                "any_value(image) image from trials group by all order by 1"
            )
            assert [row["machine"] for row in counted] == list(MACHINES)
            for row in counted:
                assert row["n"] == 4 * REPETITIONS
                assert (row["environment"], row["runtime"]) == ("container", "docker")
                assert row["image"].startswith("joulefleet-agent")
            said = fleet.inside("head", "joulefleet", "status")
            assert "steady" in said
            _no_secret(fleet)


def _fill(path: Path) -> None:
    """Fill a disk to its last byte."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass


def _no_secret(fleet: ContainerFleet) -> None:
    """Check that no log, no description of a container and no file of the store contains the token."""
    for service in ("head", "run", *fleet.machines):
        assert fleet.token not in fleet.logs(service), service
        assert fleet.token not in fleet.host.docker("inspect", fleet.container(service)), service
    for file in (fleet.folder / "store").rglob("*"):
        assert not file.is_file() or fleet.token.encode() not in file.read_bytes(), file
