import importlib.util
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest

from agent.sensors.rapl.domains import Domain
from agent.sensors.rapl.pyrapl import PyraplSensor, open_pyrapl
from agent.sensors.rapl.pyrapl_library import close_library, files_of
from tests.support.machines import unpacked

ROOT = Path(__file__).parents[5]
PROC = Path("/proc")


@dataclass(kw_only=True)
class FakeDevice:
    """pyRAPL's packages or memory: the sockets, and the file that is open for each."""

    _socket_ids: Sequence[int]
    _sys_files: Sequence[IO[str]]


@dataclass(kw_only=True)
class FakePyrapl:
    """pyRAPL's sensor with values that the test sets."""

    values: Sequence[float]
    _device_api: dict[int, FakeDevice] = field(default_factory=dict)
    error: Exception | None = None

    def energy(self) -> Sequence[float]:
        """Return the values, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.values


@pytest.fixture
def files(tmp_path: Path) -> Iterator[list[IO[str]]]:
    """Yield three open files."""
    with ExitStack() as stack:
        paths = [tmp_path / f"energy_uj.{number}" for number in range(3)]
        for path in paths:
            path.touch()
        yield [stack.enter_context(path.open()) for path in paths]


def sensor(library: FakePyrapl, *channels: str, indices: tuple[int, ...]) -> PyraplSensor:
    """Return the sensor over `library`, with these counters at these indices."""
    domains = tuple(
        Domain(channel=channel, kind="package", range_uj=10**9, peak_w=500.0, counts_in=frozenset({"package"}))
        for channel in channels
    )
    return PyraplSensor(library=library, indices=indices, domains=domains, missing=(), of_running_kernel=True)


def test_values_are_whole_microjoules_of_their_indices() -> None:
    """PyRAPL returns package and memory of each socket in turn, as floats; sockets that do not exist are skipped."""
    library = FakePyrapl(values=[1.0, -1, -1, -1, 262_143_328_849.0, 7.0])
    pyrapl = sensor(library, "package-0", "package-2", indices=(0, 4))
    assert pyrapl.decode(pyrapl.read()) == (1, 262_143_328_849)
    assert all(isinstance(value, int) for value in pyrapl.decode(pyrapl.read()))
    assert [(c.name, c.unit, c.kind, c.source) for c in pyrapl.channels] == [
        ("package-0", "uJ", "counter", "pyrapl"),
        ("package-2", "uJ", "counter", "pyrapl"),
    ]


def test_a_read_is_eight_bytes_a_value() -> None:
    """A long window keeps a hundred thousand of them."""
    (field,) = sensor(FakePyrapl(values=[1.0, -1.0]), "package-0", indices=(0,)).read()
    assert len(field or b"") == 16


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_what_is_no_counter_decodes_to_none(value: float) -> None:
    """PyRAPL returns -1 for a socket without a counter."""
    pyrapl = sensor(FakePyrapl(values=[value]), "package-0", indices=(0,))
    assert pyrapl.decode(pyrapl.read()) == (None,)


@pytest.mark.parametrize("error", [OSError(), ValueError(), IndexError()])
def test_a_read_that_raises_is_none(error: Exception) -> None:
    """Later reads may succeed again."""
    library = FakePyrapl(values=[5.0], error=error)
    pyrapl = sensor(library, "package-0", indices=(0,))
    assert pyrapl.read() == (None,)
    assert pyrapl.decode(pyrapl.read()) == (None,)
    library.error = None
    assert pyrapl.decode(pyrapl.read()) == (5,)


def test_fewer_values_than_before_are_none() -> None:
    """No channel gets the value of another."""
    pyrapl = sensor(FakePyrapl(values=[5.0]), "package-0", "package-1", indices=(0, 2))
    assert pyrapl.decode(pyrapl.read()) == (5, None)


def test_each_file_has_the_index_of_its_value(files: list[IO[str]]) -> None:
    """The package of socket n has the index 2n, its memory the next one."""
    packages = FakeDevice(_socket_ids=[0, 3], _sys_files=files[:2])
    memory = FakeDevice(_socket_ids=[3], _sys_files=files[2:])
    library = FakePyrapl(values=[], _device_api={0: packages, 1: memory})
    assert files_of(library) == [(0, files[0]), (6, files[1]), (7, files[2])]
    close_library(library)
    assert all(file.closed for file in files)


def test_a_closed_sensor_reads_none(files: list[IO[str]]) -> None:
    """Its files are closed, which pyRAPL itself never does. A second close does nothing."""
    library = FakePyrapl(values=[5.0], _device_api={0: FakeDevice(_socket_ids=[0], _sys_files=files[:1])})
    pyrapl = sensor(library, "package-0", indices=(0,))
    pyrapl.close()
    pyrapl.close()
    assert files[0].closed
    assert pyrapl.read() == (None,)
    assert pyrapl.decode(pyrapl.read()) == (None,)


def test_another_root_than_sys_is_missing_with_the_reason() -> None:
    """PyRAPL reads only /sys, whose numbers would be those of another machine."""
    pyrapl = open_pyrapl(unpacked("two-packages-with-dram") / "sys", PROC)
    (missing,) = pyrapl.missing
    assert "pyRAPL reads only /sys" in missing.message
    assert missing.cure
    assert pyrapl.channels == ()
    assert [d.channel for d in pyrapl.domains] == ["package-0", "package-0/dram", "package-1", "package-1/dram"]
    assert {d.reason for d in pyrapl.domains} == {missing.message}
    assert not pyrapl.of_running_kernel
    assert pyrapl.longest_power_limit_window_s is not None
    pyrapl.close()


def test_this_machine_is_read_or_listed_as_missing() -> None:
    """The real /sys raises nothing and leaves no handler on the root logger."""
    handlers = list(logging.getLogger().handlers)
    pyrapl = open_pyrapl(Path("/sys"), PROC)
    assert len(pyrapl.decode(pyrapl.read())) == len(pyrapl.channels)
    assert pyrapl.channels or pyrapl.missing
    pyrapl.close()
    assert logging.getLogger().handlers == handlers


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
