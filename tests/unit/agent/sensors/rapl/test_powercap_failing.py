import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.results.energy import choose_scope
from agent.sensors.rapl.powercap import open_powercap
from tests.support.counter_energies import energies_of
from tests.support.machines import unpacked

PROC = unpacked("two-packages-with-dram") / "proc"
TREE = "devices/virtual/powercap/intel-rapl"

CopyMachine = Callable[[str], Path]


class DisappearingCounter:
    """A counter that disappears while its file is open.

    A number of a process in /proc plays its part: reads of the open file fail once the process has ended.
    """

    value = 500

    def __init__(self) -> None:
        self._process = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE)
        self._file = Path(f"/proc/{self._process.pid}/oom_score_adj")
        # A user may raise this number without privileges; below 0 it would be no count.
        self._file.write_text(f"{self.value}\n")

    def stand_for(self, counter: Path) -> None:
        """Put it in the place of a counter."""
        counter.unlink()
        counter.symlink_to(self._file)

    def go(self) -> None:
        """End the process."""
        self._process.communicate()


@pytest.fixture
def leaving() -> Iterator[DisappearingCounter]:
    """Yield such a counter, and end its process after the test."""
    counter = DisappearingCounter()
    yield counter
    counter.go()


def test_a_zone_that_goes_away_in_the_window_reads_none(
    copy_machine: CopyMachine, leaving: DisappearingCounter
) -> None:
    """The other counters are read as before."""
    root = copy_machine("two-packages-with-dram")
    leaving.stand_for(root / TREE / "intel-rapl:1/energy_uj")
    powercap = open_powercap(root, PROC)
    before = powercap.decode(powercap.read())
    leaving.go()
    after = powercap.decode(powercap.read())
    assert before == (123456789012, 22334455667, leaving.value, 11223344556)
    assert after == (123456789012, 22334455667, None, 11223344556)
    assert choose_scope(energies_of(powercap, before, after)).joules is None


def test_after_the_driver_is_loaded_again_every_kept_counter_is_unreadable(
    copy_machine: CopyMachine, leaving: DisappearingCounter
) -> None:
    """Nothing is raised, and the energy is unknown."""
    root = copy_machine("amd-single")
    leaving.stand_for(root / TREE / "intel-rapl:0/energy_uj")
    leaving.stand_for(root / TREE / "intel-rapl:0/intel-rapl:0:0/energy_uj")
    powercap = open_powercap(root, PROC)
    before = powercap.decode(powercap.read())
    leaving.go()
    assert powercap.read() == (None, None)
    assert [e.joules for e in energies_of(powercap, before, (None, None))] == [None, None, None]


def test_a_failed_read_inside_a_window_costs_no_energy(copy_machine: CopyMachine) -> None:
    """A failed read is no wrap: the readings before and after it give the energy."""
    root = copy_machine("two-packages-with-dram")
    counter = root / TREE / "intel-rapl:0/energy_uj"
    powercap = open_powercap(root, PROC)
    readings = []
    for field in ("123456789012\n", "12345678901x\n", "123498789012\n"):
        counter.write_text(field)
        readings.append(powercap.decode(powercap.read()))
    assert [reading[0] for reading in readings] == [123456789012, None, 123498789012]
    (package,) = [e.joules for e in energies_of(powercap, *readings) if e.domain == "package-0"]
    assert package == 42.0


def test_a_folder_where_the_counter_should_be_is_unreadable(copy_machine: CopyMachine) -> None:
    """It can be opened, but no read of it succeeds."""
    root = copy_machine("amd-single")
    counter = root / TREE / "intel-rapl:0/energy_uj"
    counter.unlink()
    counter.mkdir()
    powercap = open_powercap(root, PROC)
    assert {d.channel: d.reason for d in powercap.domains if d.reason} == {
        "package-0": "the counter is there, but could not be read"
    }
