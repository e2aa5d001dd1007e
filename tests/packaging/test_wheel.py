"""The wheel, and the environment with only the base dependencies into which `make packaging` installed it."""

import os
import subprocess
import zipfile
from pathlib import Path

import pytest

import joulefleet
from tests.support.attempt_rows import study_from, twelve_cell_rows, write_store
from tests.support.replication_package import MAPPING, write_package

ROOT = Path(__file__).parents[2]
BASE = ROOT / ".venv-base" / "bin"
PACKAGES = ("agent", "coordinator", "joulefleet")

EXTRAS = ("datasets", "psutil", "pyRAPL", "pynvml", "ray", "safetensors", "torch", "transformers")


@pytest.fixture(scope="module")
def files() -> set[str]:
    """The names of the files in the wheel that was just built."""
    (wheel,) = (ROOT / "build" / "wheel").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A finished study of 36 trials."""
    study = study_from()
    return write_store(tmp_path / "store", twelve_cell_rows(study), study)


def run(program: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program of the base environment, in a folder from which the checkout cannot be imported."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(
        [BASE / program, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_wheel_has_three_packages_and_nothing_else(files: set[str]) -> None:
    """The import path equals the file path, so these are the only top-level names."""
    info = f"joulefleet-{joulefleet.__version__}.dist-info"
    assert {name.split("/")[0] for name in files} == {*PACKAGES, info}


def test_the_wheel_has_every_file_of_the_packages(files: set[str]) -> None:
    """SQL files and shipped studies are included with the modules."""
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *PACKAGES],  # noqa: S607 - any git will do
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert {name for name in tracked if (ROOT / name).exists()} == {name for name in files if ".dist-info/" not in name}


@pytest.mark.parametrize("module", EXTRAS)
def test_the_base_environment_has_no_extras(module: str, tmp_path: Path) -> None:
    """Otherwise the tests below would prove nothing."""
    done = run("python", "-c", f"import {module}", folder=tmp_path)
    assert f"No module named '{module}'" in done.stderr


def test_sql_answers_with_the_base_dependencies(store: Path) -> None:
    """A laptop that measures nothing can query a store."""
    query = "select count(*), count(distinct trial_id) from trials where status = 'ok'"
    done = run("joulefleet", "sql", "--store", str(store), "--format", "csv", query, folder=store)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1] == "36,36"


def test_compare_answers_with_the_base_dependencies(store: Path) -> None:
    """A laptop that measures nothing can compare."""
    done = run("joulefleet", "compare", "--store", str(store), folder=store)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("bert", "gpt2", "sst2", "stsb", "mnli"))


def test_data_of_others_are_imported_with_the_base_dependencies(tmp_path: Path) -> None:
    """Whoever compares published data measures nothing."""
    write_package(tmp_path / "data")
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    arguments = ("import", "experiment-runner", "data", "--mapping", "mapping.yaml", "--store", "store")
    done = run("joulefleet", *arguments, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("42 runs of 6 folders imported")
