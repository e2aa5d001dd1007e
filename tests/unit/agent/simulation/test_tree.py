"""The files of a simulated machine, read by the sensors of real machines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sensors.rapl.powercap import open_powercap
from agent.sensors.system.frequency import open_frequency
from agent.sensors.system.thermal import open_thermal
from agent.sensors.system.throttling import open_throttling
from agent.simulation.machine import SimulatedMachine
from agent.simulation.tree import MARKER, SimulatedTree, make_tree
from joulefleet.errors import MachineError

MACHINE = SimulatedMachine(core=True, psys=True, mmio=True)
CPUS = {0: 0, 1: 0, 2: 1, 3: 1}


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[SimulatedTree]:
    """Yield the tree of the machine in `tmp_path / "sys"`."""
    tree = make_tree(tmp_path / "sys", MACHINE, CPUS)
    yield tree
    tree.close()


def values(root: Path) -> dict[str, int | None]:
    """Return what the powercap reader reads now."""
    sensor = open_powercap(root)
    read = dict(zip((c.name for c in sensor.channels), sensor.decode(sensor.read()), strict=True))
    sensor.close()
    return read


def test_the_reader_of_powercap_finds_every_domain(tree: SimulatedTree, tmp_path: Path) -> None:
    """Names, ranges, limits and totals are those of the machine; the zone that mmio repeats is no domain of its own."""
    for place in range(len(MACHINE.domains)):
        tree.show_energy(place, 1000 + place)
    sensor = open_powercap(tmp_path / "sys")
    assert {c.name for c in sensor.channels} == {d.channel for d in MACHINE.domains}
    assert sensor.missing == ()
    assert not sensor.of_running_kernel
    assert sensor.longest_power_limit_window_s == pytest.approx(0.999424)
    in_total = {d.channel for d in sensor.domains if "package+dram" in d.counts_in}
    assert in_total == {"package-0", "package-0/dram", "package-1", "package-1/dram"}
    ranges = {d.channel: d.range_uj for d in sensor.domains}
    sensor.close()
    assert ranges == {d.channel: d.max_energy_range_uj for d in MACHINE.domains}
    assert values(tmp_path / "sys") == {d.channel: 1000 + place for place, d in enumerate(MACHINE.domains)}


def test_a_kept_descriptor_reads_what_is_shown(tree: SimulatedTree, tmp_path: Path) -> None:
    """Files are rewritten in place with a constant length, and never replaced."""
    sensor = open_powercap(tmp_path / "sys")
    file = tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj"
    for uj in (1, 262_143_328_850, 0):
        tree.show_energy(0, uj)
        assert sensor.decode(sensor.read())[0] == uj
        assert file.stat().st_size == 17
    sensor.close()


def test_a_hidden_counter_fails_to_read_for_a_while(tree: SimulatedTree, tmp_path: Path) -> None:
    """A reader sees a transient error."""
    sensor = open_powercap(tmp_path / "sys")
    tree.hide_energy(0)
    assert sensor.decode(sensor.read())[0] is None
    tree.show_energy(0, 5)
    assert sensor.decode(sensor.read())[0] == 5
    sensor.close()


def test_after_a_reload_only_new_descriptors_read(tree: SimulatedTree, tmp_path: Path) -> None:
    """So it is after a driver is removed and loaded again."""
    sensor = open_powercap(tmp_path / "sys")
    tree.reload_driver()
    tree.show_energy(0, 7)
    assert set(sensor.decode(sensor.read())) == {None}
    sensor.close()
    assert values(tmp_path / "sys")["package-0"] == 7


def test_the_gauges_read_what_is_shown(tree: SimulatedTree, tmp_path: Path) -> None:
    """Temperature of each package, frequency of each CPU, and no throttling."""
    tree.show_temperature(1, 61.5)
    for place in range(4):
        tree.show_frequency(place, 1_000_000 + 100_000 * place)
    thermal, frequency, throttling = (
        open_(tmp_path / "sys") for open_ in (open_thermal, open_frequency, open_throttling)
    )
    assert thermal.decode(thermal.read()) == (30.0, 61.5)
    assert frequency.decode(frequency.read()) == (1150.0, 1000.0)
    assert throttling.decode(throttling.read()) == (0, 0)
    for sensor in (thermal, frequency, throttling):
        sensor.close()


def test_what_pyrapl_looks_for_is_there(tree: SimulatedTree, tmp_path: Path) -> None:
    """It needs the CPUs, their sockets, and the packages inside the control type's folder."""
    cpu = tmp_path / "sys/devices/system/cpu"
    assert (cpu / "present").read_text() == "0,1,2,3\n"
    assert [int((cpu / f"cpu{n}/topology/physical_package_id").read_text()) for n in CPUS] == [0, 0, 1, 1]
    zone = tmp_path / "sys/class/powercap/intel-rapl/intel-rapl:1"
    assert (zone / "name").read_text() == "package-1\n"
    assert (zone / "intel-rapl:1:1/name").read_text() == "dram\n"


def test_a_folder_with_anything_else_is_refused(tmp_path: Path) -> None:
    """Nobody loses files to a simulation."""
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(MachineError, match=r"letter\.txt"):
        make_tree(tmp_path, MACHINE, CPUS)
    (tmp_path / MARKER).touch()
    with pytest.raises(MachineError, match=r"letter\.txt"):
        make_tree(tmp_path, MACHINE, CPUS)
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_an_earlier_tree_is_replaced_once_nobody_keeps_it(tree: SimulatedTree, tmp_path: Path) -> None:
    """Two simulations never write the same files."""
    smaller = SimulatedMachine(sockets=1)
    with pytest.raises(MachineError, match="still runs"):
        make_tree(tmp_path / "sys", smaller, {0: 0})
    other = make_tree(tmp_path / "other", MACHINE, CPUS)
    other.close()
    again = make_tree(tmp_path / "other", smaller, {0: 0})
    assert set(values(tmp_path / "other")) == {"package-0", "package-0/dram"}
    again.close()


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """It has a cure and no traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="cannot be written"):
        make_tree(tmp_path / "file/sys", MACHINE, CPUS)
