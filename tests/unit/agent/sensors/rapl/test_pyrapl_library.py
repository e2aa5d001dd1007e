import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import IO

import pytest

from agent.sensors.base import Missing
from agent.sensors.rapl.domains import Domain
from agent.sensors.rapl.pyrapl_library import close_library, files_of, open_library
from tests.support.machines import unpacked
from tests.support.pyrapl import FakeDevice, FakePyrapl

ROOT = Path(__file__).parents[5]
SYSFS, PROC = Path("/sys"), Path("/proc")


class PyRAPLCantRecordEnergyConsumption(Exception):
    """pyRAPL's error where it does not find one package for each socket."""


@pytest.fixture
def files(tmp_path: Path) -> Iterator[list[IO[str]]]:
    """Yield three open files."""
    with ExitStack() as stack:
        paths = [tmp_path / f"energy_uj.{number}" for number in range(3)]
        for path in paths:
            path.touch()
        yield [stack.enter_context(path.open()) for path in paths]


def domain(channel: str) -> Domain:
    """Return a domain of this name."""
    return Domain(channel=channel, kind="package", range_uj=10**9, peak_w=500.0, counts_in=frozenset({"package"}))


def install(monkeypatch: pytest.MonkeyPatch, library: FakePyrapl) -> None:
    """Make `import pyRAPL` give a module whose sensor is `library`."""
    module = ModuleType("pyRAPL")
    module.Sensor = lambda: library  # type: ignore[attr-defined]  # a module has no attributes by its type
    monkeypatch.setitem(sys.modules, "pyRAPL", module)


def test_each_file_has_the_index_of_its_value(files: list[IO[str]]) -> None:
    """The package of socket n has the index 2n, its memory the next one."""
    packages = FakeDevice(_socket_ids=[0, 3], _sys_files=files[:2])
    memory = FakeDevice(_socket_ids=[3], _sys_files=files[2:])
    library = FakePyrapl(values=[], _device_api={0: packages, 1: memory})
    assert files_of(library) == [(0, files[0]), (6, files[1]), (7, files[2])]
    close_library(library)
    assert all(file.closed for file in files)


def test_a_library_that_reads_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has been read once by then."""
    library = FakePyrapl(values=[1.0, -1])
    install(monkeypatch, library)
    assert open_library(SYSFS, PROC, [domain("package-0")]) is library


@pytest.mark.parametrize(
    ("error", "channel", "why", "message"),
    [
        (PermissionError(13, "no", "/sys/x/energy_uj"), "package-0", "not_permitted", "may not read /sys/x/energy_uj"),
        (FileNotFoundError(2, "no", "/sys/devices/system/cpu/cpu1/x"), "package-0", "unreadable", "is offline"),
        (PyRAPLCantRecordEnergyConsumption(), "package-0", "unreadable", "one package for each socket"),
        (PyRAPLCantRecordEnergyConsumption(), "package-0-die-1", "unreadable", "each die has one"),
        (ValueError("could not convert '\x1b[2J'"), "package-0", "unreadable", "ValueError"),
    ],
)
def test_each_error_of_a_first_read_has_a_reason_and_a_cure(
    monkeypatch: pytest.MonkeyPatch, files: list[IO[str]], error: Exception, channel: str, why: str, message: str
) -> None:
    """The files that pyRAPL opened are closed. Its error may quote any bytes, which do not reach the terminal."""
    device = FakeDevice(_socket_ids=[0], _sys_files=files[:1])
    install(monkeypatch, FakePyrapl(values=[], error=error, _device_api={0: device}))
    missing = open_library(SYSFS, PROC, [domain(channel)])
    assert isinstance(missing, Missing)
    assert (missing.why, message in missing.message) == (why, True)
    assert missing.message.isprintable()
    assert missing.cure
    assert files[0].closed


def test_without_pyrapl_the_cure_is_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The base installation does not have it."""
    monkeypatch.setitem(sys.modules, "pyRAPL", None)
    missing = open_library(SYSFS, PROC, [domain("package-0")])
    assert isinstance(missing, Missing)
    assert "pip install" in missing.cure


def test_without_domains_the_reason_is_that_of_the_machine(tmp_path: Path) -> None:
    """PyRAPL could only report that it found nothing."""
    missing = open_library(SYSFS, tmp_path, [])
    assert isinstance(missing, Missing)
    assert missing.what == "energy (RAPL) by pyRAPL"


def test_a_copy_of_sys_is_not_read() -> None:
    """PyRAPL has the path /sys in its code."""
    missing = open_library(unpacked("wraps") / "sys", PROC, [domain("package-0")])
    assert isinstance(missing, Missing)
    assert "only /sys" in missing.message


@pytest.mark.parametrize("logs", ["pass", "logging.basicConfig()"])
def test_its_import_prints_nothing_even_where_warnings_are_errors(tmp_path: Path, logs: str) -> None:
    """Compiled again, pyRAPL would warn of its own strings, and of pymongo, which is not installed."""
    spec = importlib.util.find_spec("pyRAPL")
    assert spec is not None
    assert spec.origin is not None
    shutil.copytree(Path(spec.origin).parent, tmp_path / "pyRAPL", ignore=shutil.ignore_patterns("__pycache__"))
    program = (
        f"import sys, logging; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]\n"
        f"{logs}\n"
        "handlers = list(logging.getLogger().handlers)\n"
        "from agent.sensors.rapl.pyrapl_library import import_pyrapl\n"
        f"assert import_pyrapl().__file__.startswith({str(tmp_path)!r})\n"
        "assert logging.getLogger().handlers == handlers"
    )
    done = subprocess.run([sys.executable, "-B", "-W", "error", "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
