from collections.abc import Callable
from pathlib import Path

import pytest

from agent.sensors.rapl.domains import ZonePowerLimit
from agent.sensors.rapl.zone import microjoules, read_zone
from tests.support.machines import unpacked

TREE = "devices/virtual/powercap/intel-rapl"
NAME = "intel-rapl:0"
LONG = ("long_term", 205.0, 0.999424)
SHORT = ("short_term", 246.0, 0.001952)

CopyMachine = Callable[[str], Path]


@pytest.fixture
def folder(copy_machine: CopyMachine) -> Path:
    """Return the folder of a package's zone that the test may change."""
    return copy_machine("two-packages-with-dram") / TREE / NAME


def test_a_zone_has_name_range_and_limits() -> None:
    """Limits are in watts and seconds, the range is in microjoules."""
    folder = unpacked("two-packages-with-dram") / "sys" / TREE / NAME
    zone = read_zone(NAME, folder)
    assert (zone.zone, zone.path, zone.name, zone.parent) == (NAME, folder, "package-0", None)
    assert zone.range_uj == 262_143_328_850
    assert zone.limits == tuple(ZonePowerLimit(name=name, watts=w, window_s=s) for name, w, s in (LONG, SHORT))


def test_a_folder_without_files_is_a_zone_of_unknowns(tmp_path: Path) -> None:
    """Nothing is raised, and nothing is 0."""
    zone = read_zone("intel-rapl:0:1", tmp_path)
    assert (zone.name, zone.range_uj, zone.limits) == (None, None, ())
    assert zone.parent == "intel-rapl:0"


@pytest.mark.parametrize(
    ("file", "content", "limits"),
    [
        ("enabled", "0\n", []),
        ("constraint_0_power_limit_uw", "0\n", [SHORT]),
        ("constraint_0_power_limit_uw", "many\n", [SHORT]),
        ("constraint_0_power_limit_uw", "9" * 20, [SHORT]),
        ("constraint_1_time_window_us", "soon\n", [LONG, ("short_term", 246.0, None)]),
        ("constraint_0_time_window_us", "3670016000000\n", [("long_term", 205.0, None), SHORT]),
        ("constraint_0_name", "\x1b[31m", [("constraint_0", 205.0, 0.999424), SHORT]),
    ],
)
def test_a_limit_without_a_valid_value_is_left_out(
    folder: Path, file: str, content: str, limits: list[tuple[str, float, float | None]]
) -> None:
    """So is one that is switched off, or 0. A window that was never set would mean a warm-up of days."""
    (folder / file).write_text(content)
    assert [(limit.name, limit.watts, limit.window_s) for limit in read_zone(NAME, folder).limits] == limits


@pytest.mark.parametrize("content", ["many\n", "0\n", "", "-1\n", "9" * 400, "\x00\x01\x02"])
def test_a_range_that_is_no_number_above_0_is_unknown(folder: Path, content: str) -> None:
    """A guess would turn a reset of the counter into a wrap."""
    (folder / "max_energy_range_uj").write_text(content)
    assert read_zone(NAME, folder).range_uj is None


@pytest.mark.parametrize("name", ["package-0\x1b[2J", "", "\0\0", "package 0", "x" * 65])
def test_a_name_that_the_kernel_does_not_give_is_unknown(folder: Path, name: str) -> None:
    """It would be printed to terminals and stored in rows."""
    (folder / "name").write_text(name)
    assert read_zone(NAME, folder).name is None


@pytest.mark.parametrize(("field", "value"), [(b"7\n", 7), (b"18446744073709551615\n", 2**64 - 1), (b"0", 0)])
def test_digits_are_a_counter(field: bytes, value: int) -> None:
    """The kernel's counters have 64 bits."""
    assert microjoules(field) == value


@pytest.mark.parametrize(
    "field", [b"", b"-5\n", b"1_000\n", b"+7", b"0x10", "٣".encode(), b"1" * 32, b"\xff\xfe", None]
)
def test_anything_but_digits_is_no_counter(field: bytes | None) -> None:
    """int() alone accepts several of these."""
    assert microjoules(field) is None
