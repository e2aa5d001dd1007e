import subprocess
import sys
from pathlib import Path

import pytest

from agent.sensors.system.thermal import MOST_FILES, open_thermal
from tests.support.machines import unpacked

Chip = dict[int, tuple[str | None, str]]
"""Label and text of each temperature of a chip, by its file's number."""


def write_chip(root: Path, number: int, name: str, temperatures: Chip) -> Path:
    """Write a hwmon chip under `root` and return its folder."""
    folder = root / f"class/hwmon/hwmon{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(name + "\n")
    for index, (label, value) in temperatures.items():
        (folder / f"temp{index}_input").write_text(value)
        if label is not None:
            (folder / f"temp{index}_label").write_text(label + "\n")
    return folder


def write_zone(root: Path, number: int, kind: str, value: str) -> Path:
    """Write a thermal zone under `root` and return its folder."""
    folder = root / f"class/thermal/thermal_zone{number}"
    folder.mkdir(parents=True)
    (folder / "type").write_text(kind + "\n")
    (folder / "temp").write_text(value)
    return folder


def readings(root: Path) -> dict[str, float | None]:
    """Return what the sensor under `root` reads, by channel."""
    thermal = open_thermal(root)
    values = thermal.decode(thermal.read())
    thermal.close()
    return dict(zip((channel.name for channel in thermal.channels), values, strict=True))


def test_each_package_has_one_channel_and_cores_and_disks_have_none() -> None:
    """Two of the nine temperatures of the tree belong to packages."""
    assert readings(unpacked("two-packages-with-dram") / "sys") == {
        "temperature/coretemp/package-id-0": 41.0,
        "temperature/coretemp/package-id-1": 43.0,
    }
    thermal = open_thermal(unpacked("two-packages-with-dram") / "sys")
    assert {(c.unit, c.kind, c.source) for c in thermal.channels} == {("degC", "gauge", "thermal")}
    assert thermal.package_channels == tuple(c.name for c in thermal.channels)
    assert thermal.missing == ()


def test_an_amd_chip_without_labels_gives_its_first_temperature() -> None:
    """Older families of k10temp have one temperature and no label."""
    assert readings(unpacked("amd-single") / "sys") == {"temperature/k10temp/temp1": 39.125}


def test_the_temperature_itself_is_preferred_to_the_one_for_the_fans(tmp_path: Path) -> None:
    """Tctl is up to 27 degrees above Tdie on some models."""
    write_chip(tmp_path, 0, "k10temp", {1: ("Tctl", "65000"), 2: ("Tdie", "45000"), 3: ("Tccd1", "44000")})
    assert readings(tmp_path) == {"temperature/k10temp/tdie": 45.0}


def test_two_chips_of_one_name_have_two_channels(tmp_path: Path) -> None:
    """Two AMD packages are numbered in the order of their chips."""
    write_chip(tmp_path, 10, "k10temp", {1: ("Tctl", "47000")})
    write_chip(tmp_path, 2, "k10temp", {1: ("Tctl", "45000")})
    assert readings(tmp_path) == {"temperature/k10temp/tctl": 45.0, "temperature/k10temp-2/tctl": 47.0}


@pytest.mark.parametrize("name", ["cpu_thermal", "cpu0-thermal", "via_cputemp"])
def test_other_chips_of_the_cpu_count_as_well(tmp_path: Path, name: str) -> None:
    """ARM boards and others name them after the CPU."""
    write_chip(tmp_path, 0, name, {1: (None, "51500")})
    assert readings(tmp_path) == {f"temperature/{name}/temp1": 51.5}


def test_an_old_kernels_label_is_understood(tmp_path: Path) -> None:
    """Before Linux 4.14 the label of a package was Physical id."""
    write_chip(tmp_path, 0, "coretemp", {1: ("Physical id 0", "40000"), 2: ("Core 0", "39000")})
    assert readings(tmp_path) == {"temperature/coretemp/physical-id-0": 40.0}


def test_zones_are_read_where_no_chip_belongs_to_the_cpu(tmp_path: Path) -> None:
    """The package's zone comes before the board's, whatever their numbers."""
    write_chip(tmp_path, 0, "nvme", {1: ("Composite", "36850")})
    write_zone(tmp_path, 0, "acpitz", "27800")
    write_zone(tmp_path, 1, "x86_pkg_temp", "42000")
    write_zone(tmp_path, 2, "x86_pkg_temp", "44000")
    assert readings(tmp_path) == {
        "temperature/x86_pkg_temp/thermal_zone1": 42.0,
        "temperature/x86_pkg_temp/thermal_zone2": 44.0,
    }
    assert len(open_thermal(tmp_path).package_channels) == 2


def test_the_firmwares_zone_is_the_last_choice_and_judges_no_cool_down(tmp_path: Path) -> None:
    """It may be the temperature of the board, or never change."""
    write_zone(tmp_path, 0, "iwlwifi_1", "50000")
    write_zone(tmp_path, 1, "acpitz", "27800")
    assert readings(tmp_path) == {"temperature/acpitz/thermal_zone1": 27.8}
    assert open_thermal(tmp_path).package_channels == ()


@pytest.mark.parametrize("value", ["-273000\n", "200000\n", "150001\n", "-40001\n", "warm\n", "", "45.5\n"])
def test_what_no_cpu_can_have_is_none(tmp_path: Path, value: str) -> None:
    """A broken sensor gives -273 degrees, 200 degrees, or nothing."""
    write_chip(tmp_path, 0, "coretemp", {1: ("Package id 0", value)})
    assert readings(tmp_path) == {"temperature/coretemp/package-id-0": None}


@pytest.mark.parametrize(("value", "degrees"), [("-40000\n", -40.0), ("150000\n", 150.0), ("0\n", 0.0)])
def test_the_ends_of_the_range_are_temperatures(tmp_path: Path, value: str, degrees: float) -> None:
    """0 is a valid temperature too."""
    write_chip(tmp_path, 0, "coretemp", {1: ("Package id 0", value)})
    assert readings(tmp_path) == {"temperature/coretemp/package-id-0": degrees}


def test_a_label_without_its_file_is_no_channel(tmp_path: Path) -> None:
    """A driver that is unloaded may leave half of its files for a moment."""
    folder = write_chip(tmp_path, 0, "coretemp", {1: ("Package id 0", "40000")})
    (folder / "temp1_input").unlink()
    assert readings(tmp_path) == {}


def test_a_file_that_disappears_reads_none(tmp_path: Path) -> None:
    """A file of a process that ends plays the part of an unloaded driver's file."""
    folder = write_chip(tmp_path, 0, "coretemp", {1: ("Package id 0", "")})
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        (folder / "temp1_input").unlink()
        (folder / "temp1_input").symlink_to(f"/proc/{child.pid}/oom_score_adj")
        thermal = open_thermal(tmp_path)
        assert thermal.decode(thermal.read()) != (None,)
        child.communicate(b"\n")
    assert thermal.decode(thermal.read()) == (None,)
    thermal.close()


def test_no_more_files_are_kept_than_the_largest_machine_has_packages(tmp_path: Path) -> None:
    """The cost of a reading is bounded."""
    for number in range(20):
        write_chip(tmp_path, number, "k10temp", {1: ("Tctl", "45000")})
    names = list(readings(tmp_path))
    assert len(names) == MOST_FILES
    assert names[-1] == f"temperature/k10temp-{MOST_FILES}/tctl"


def test_a_machine_without_sensors_has_no_channel(tmp_path: Path) -> None:
    """The temperature of a virtual machine is unknown, not 0."""
    assert readings(tmp_path) == {}
    assert readings(unpacked("no-rapl") / "sys") == {}
