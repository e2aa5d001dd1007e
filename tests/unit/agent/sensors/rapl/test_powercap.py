import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.results.energy import choose_scope
from agent.sensors.rapl.domains import ZonePowerLimit
from agent.sensors.rapl.powercap import PowercapSensor, open_powercap
from tests.support.counter_energies import energies_of
from tests.support.machines import unpacked
from tests.support.mount_table import write_mounts

PROC = unpacked("two-packages-with-dram") / "proc"
TREE = "devices/virtual/powercap/intel-rapl"

CopyMachine = Callable[[str], Path]


def sensor(machine: str) -> PowercapSensor:
    """Open the sensor on a machine of tests/machines."""
    return open_powercap(unpacked(machine) / "sys", PROC)


def parts(powercap: PowercapSensor, scope: str) -> list[str]:
    """Return the channels that add up to `scope`."""
    return [d.channel for d in powercap.domains if scope in d.counts_in]


def test_two_packages_add_up_with_their_dram() -> None:
    """DRAM has its zone inside the package's folder, but its energy is added to the package's."""
    powercap = sensor("two-packages-with-dram")
    assert [d.channel for d in powercap.domains] == ["package-0", "package-0/dram", "package-1", "package-1/dram"]
    assert parts(powercap, "package") == ["package-0", "package-1"]
    assert parts(powercap, "package+dram") == ["package-0", "package-0/dram", "package-1", "package-1/dram"]
    assert powercap.missing == ()


def test_readings_are_whole_microjoules_in_the_channels_order() -> None:
    """A read returns bytes, which decode to one integer for each channel."""
    powercap = sensor("two-packages-with-dram")
    raw = powercap.read()
    assert raw[0] == b"123456789012\n"
    assert powercap.decode(raw) == (123456789012, 22334455667, 223344556677, 11223344556)
    first = powercap.channels[0]
    assert (first.name, first.unit, first.kind, first.source) == ("package-0", "uJ", "counter", "powercap")
    powercap.close()


def test_core_is_in_no_total_on_amd() -> None:
    """The core domain is a part of the package; without DRAM the scope is package."""
    powercap = sensor("amd-single")
    assert [(d.channel, d.kind) for d in powercap.domains] == [("package-0", "package"), ("package-0/core", "core")]
    assert parts(powercap, "package") == ["package-0"]
    assert parts(powercap, "package+dram") == []


def test_psys_is_never_added_though_it_comes_first() -> None:
    """The zone with the number 0 is psys here: the name decides, not the number."""
    powercap = sensor("psys-first")
    assert {d.channel: d.kind for d in powercap.domains} == {
        "package-0": "package",
        "package-0/core": "core",
        "package-0/uncore": "uncore",
        "psys": "psys",
    }
    assert parts(powercap, "package") == ["package-0"]


def test_gaps_in_the_numbers_hide_no_zone() -> None:
    """Zones are found whatever their numbers, and have their own names."""
    powercap = sensor("gaps-in-numbers")
    values = dict(zip([c.name for c in powercap.channels], powercap.decode(powercap.read()), strict=True))
    assert values == {
        "package-0": 2222222222,
        "package-0/dram": 202020202,
        "package-1": 1111111111,
        "package-1/dram": 101010101,
    }


def test_a_package_that_mmio_repeats_counts_once() -> None:
    """Its energy is dropped, its lower power limit is not."""
    powercap = sensor("mmio-duplicate")
    assert [d.channel for d in powercap.domains] == ["package-0", "package-0/core", "package-0/uncore"]
    assert powercap.decode(powercap.read())[0] == 7777777777
    assert [limit.watts for limit in powercap.domains[0].limits] == [28.0, 64.0, 15.0]


def test_the_dies_of_cascade_lake_ap_add_up_with_their_memory() -> None:
    """Each die has a counter of its own."""
    powercap = sensor("cascade-lake-ap")
    dies = [f"package-{package}-die-{die}" for package in (0, 1) for die in (0, 1)]
    assert parts(powercap, "package") == dies
    assert parts(powercap, "package+dram") == [channel for die in dies for channel in (die, f"{die}/dram")]


def test_the_dies_of_amds_first_zen_servers_count_once() -> None:
    """They show the counter of their package, so one die of each package is added, and all keep channels."""
    powercap = sensor("amd-multi-die-mirrored")
    assert parts(powercap, "package") == ["package-0-die-0", "package-1-die-0"]
    assert sum(d.kind == "package" for d in powercap.domains) == 8


def test_the_power_limits_are_read_with_their_names_and_windows() -> None:
    """A limit of 0 is left out; without limits there is no longest window."""
    limits = {d.channel: d.limits for d in sensor("two-packages-with-dram").domains}
    assert limits["package-1"] == (
        ZonePowerLimit(name="long_term", watts=205.0, window_s=0.999424),
        ZonePowerLimit(name="short_term", watts=246.0, window_s=0.001952),
    )
    assert limits["package-1/dram"] == ()
    assert sensor("two-packages-with-dram").longest_power_limit_window_s == 0.999424
    assert sensor("amd-single").longest_power_limit_window_s is None


def test_an_unreadable_range_is_none_and_listed_as_missing() -> None:
    """A range that is missing or 0 is not replaced by a guess."""
    powercap = sensor("unreadable-range")
    assert [d.range_uj for d in powercap.domains] == [None, None]
    assert [(m.what, m.why) for m in powercap.missing] == [("range of package-0, package-0/dram", "unreadable")]


@pytest.mark.parametrize("place", ["class", "devices"])
def test_either_folder_of_the_tree_suffices(copy_machine: CopyMachine, place: str) -> None:
    """class/powercap and devices/virtual/powercap give the same domains."""
    root = copy_machine("two-packages-with-dram")
    shutil.rmtree(root / "class/powercap")
    if place == "class":
        (root / "devices/virtual/powercap").rename(root / "class/powercap")
    assert open_powercap(root, PROC).domains == sensor("two-packages-with-dram").domains


def test_a_counter_of_letters_is_unreadable(copy_machine: CopyMachine) -> None:
    """The total that includes it is unknown."""
    root = copy_machine("two-packages-with-dram")
    (root / TREE / "intel-rapl:1/energy_uj").write_text("12a4\n")
    powercap = open_powercap(root, PROC)
    assert [m.why for m in powercap.missing] == ["unreadable"]
    assert [c.name for c in powercap.channels] == ["package-0", "package-0/dram", "package-1/dram"]
    assert {d.channel for d in powercap.domains if d.reason} == {"package-1"}
    assert choose_scope(energies_of(powercap)).joules is None


def test_a_package_without_a_name_makes_the_total_unknown(copy_machine: CopyMachine) -> None:
    """What it counts is unknown, so a sum without it may be too small."""
    root = copy_machine("amd-single")
    (root / TREE / "intel-rapl:0/name").unlink()
    powercap = open_powercap(root, PROC)
    nameless = next(d for d in powercap.domains if d.channel == "intel-rapl:0")
    assert nameless.reason is not None
    assert "package" in nameless.counts_in


def test_a_counter_that_wraps_in_the_window_gives_the_true_energy(copy_machine: CopyMachine) -> None:
    """The files are opened before the wrap and read after it."""
    root = copy_machine("wraps")
    powercap = open_powercap(root, PROC)
    before = powercap.decode(powercap.read())
    (root / TREE / "intel-rapl:0/energy_uj").write_text("41000000\n")
    (root / TREE / "intel-rapl:0/intel-rapl:0:0/energy_uj").write_text("1500000\n")
    after = powercap.decode(powercap.read())
    energies = energies_of(powercap, before, after)
    assert {e.domain: e.joules for e in energies} == {
        "package-0": 42.0,
        "package-0/dram": 2.0,
        "package+dram": 44.0,
        "package": 42.0,
    }


def test_a_step_back_of_a_counter_without_a_range_is_unknown(copy_machine: CopyMachine) -> None:
    """It may be a reset as well as a wrap."""
    root = copy_machine("amd-single")
    (root / TREE / "intel-rapl:0/max_energy_range_uj").write_text("many\n")
    powercap = open_powercap(root, PROC)
    assert powercap.domains[0].range_uj is None
    assert [m.what for m in powercap.missing] == ["range of package-0"]
    reasons = {e.domain: e.reason for e in energies_of(powercap, (1000, 1000), (900, 2000))}
    assert reasons["package-0"] == "the counter stepped back, and its range is unknown"


def test_a_zone_without_a_valid_name_has_the_name_of_its_folder(copy_machine: CopyMachine) -> None:
    """What it counts is unknown, so it is not read."""
    root = copy_machine("amd-single")
    (root / TREE / "intel-rapl:0/name").write_text("package-0\x1b[2J")
    powercap = open_powercap(root, PROC)
    assert [d.channel for d in powercap.domains] == ["intel-rapl:0", "intel-rapl:0/core"]
    assert powercap.domains[0].reason is not None


def test_the_good_counter_of_a_tree_of_garbage_is_read() -> None:
    """The total with the others is unknown, and each of them has a reason."""
    powercap = sensor("garbage")
    assert [c.name for c in powercap.channels] == ["package-0"]
    assert powercap.decode(powercap.read()) == (5_000_000_000,)
    assert {d.channel for d in powercap.domains if d.reason} >= {"package-1", "package-2", "package-3", "intel-rapl:4"}
    assert choose_scope(energies_of(powercap, (0,), (40_000_000,))).joules is None


def test_counters_of_an_ordinary_folder_are_not_those_of_the_running_kernel() -> None:
    """Their values are no measurement of this machine."""
    assert not sensor("two-packages-with-dram").of_running_kernel


@pytest.mark.parametrize("covered", [False, True])
def test_counters_in_a_sysfs_are_those_of_the_running_kernel(
    copy_machine: CopyMachine, tmp_path: Path, *, covered: bool
) -> None:
    """All must be: one counter that another mount covers is enough to make it false."""
    root = copy_machine("two-packages-with-dram")
    mounts = [("/", "ext4"), (str(root), "sysfs")]
    if covered:
        mounts.append((str(root / TREE / "intel-rapl:1/energy_uj"), "ext4"))
    assert open_powercap(root, write_mounts(tmp_path / "proc", *mounts)).of_running_kernel is not covered


def test_a_closed_sensor_reads_none() -> None:
    """The system may give the number of a closed descriptor to another file, which must not be read."""
    powercap = sensor("amd-single")
    powercap.close()
    powercap.close()
    assert powercap.read() == (None, None)
