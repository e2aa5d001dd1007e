from pathlib import Path

import pytest

from agent.sensors.system.pressure import open_pressure
from tests.support.machines import unpacked

PROC = unpacked("cgroup-v2") / "proc"


def write(root: Path, resource: str, content: str) -> None:
    """Write the file of a resource under `root`."""
    (root / "pressure").mkdir(exist_ok=True)
    (root / "pressure" / resource).write_text(content)


def test_waiting_time_is_read_in_seconds() -> None:
    """The kernel counts the microseconds in which at least one task waited."""
    pressure = open_pressure(PROC)
    assert pressure.decode(pressure.read()) == (62.5, 1.25, 7.5)
    assert [(c.name, c.unit, c.kind) for c in pressure.channels] == [
        ("pressure_cpu_s", "s", "counter"),
        ("pressure_memory_s", "s", "counter"),
        ("pressure_io_s", "s", "counter"),
    ]
    assert pressure.missing == ()
    pressure.close()


def test_the_largest_numbers_fit_into_what_is_read(tmp_path: Path) -> None:
    """Three averages of 100 and a total of 64 bits are the longest line."""
    write(tmp_path, "cpu", "some avg10=100.00 avg60=100.00 avg300=100.00 total=18446744073709551615\n")
    pressure = open_pressure(tmp_path)
    assert pressure.decode(pressure.read()) == (18_446_744_073_709_551_615 / 1e6,)


@pytest.mark.parametrize(
    "content",
    [
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=many\n",
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=5\n",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=5",
        "some\n",
        "5\n",
    ],
)
def test_another_line_is_none(tmp_path: Path, content: str) -> None:
    """Letters, another line, or a line that is cut off are no numbers."""
    write(tmp_path, "cpu", content)
    pressure = open_pressure(tmp_path)
    assert pressure.decode(pressure.read()) == (None,)


def test_a_kernel_without_pressure_is_missing_with_a_cure(tmp_path: Path) -> None:
    """It was booted with psi=0, or built without it."""
    pressure = open_pressure(tmp_path)
    assert (pressure.channels, pressure.read()) == ((), ())
    assert pressure.decode(()) == ()
    (missing,) = pressure.missing
    assert (missing.what, missing.why) == ("pressure on cpu, memory, io", "absent")
    assert "psi=1" in missing.cure


def test_files_that_open_and_fail_every_read_are_absent_as_well(tmp_path: Path) -> None:
    """With psi=0 some kernels keep the files and refuse every read; so does a folder in place of a file."""
    write(tmp_path, "cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\n")
    for resource in ("memory", "io"):
        (tmp_path / "pressure" / resource).mkdir()
    pressure = open_pressure(tmp_path)
    assert [c.name for c in pressure.channels] == ["pressure_cpu_s"]
    assert pressure.decode(pressure.read()) == (1.0,)
    assert [(m.what, m.why) for m in pressure.missing] == [("pressure on memory, io", "absent")]


def test_a_closed_sensor_reads_none() -> None:
    """It never reads another file."""
    pressure = open_pressure(PROC)
    pressure.close()
    assert pressure.decode(pressure.read()) == (None, None, None)


def test_this_machines_own_files_are_understood_or_missing() -> None:
    """The real files decode as well as those of the tests, where the kernel has them."""
    pressure = open_pressure(Path("/proc"))
    assert all(value is not None and value >= 0 for value in pressure.decode(pressure.read()))
    assert bool(pressure.missing) == (len(pressure.channels) < 3)
