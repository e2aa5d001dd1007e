"""The command line of a simulated machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.simulation.__main__ import main, welcome
from agent.simulation.machine import SimulatedMachine
from agent.simulation.options import read_options
from joulefleet.errors import MachineError


def words(line: str) -> list[str]:
    """Split a command line into words."""
    return line.split()


def test_without_options_it_is_the_default_machine() -> None:
    """It has two packages with memory and real counters."""
    options = read_options(["--root", "x"], cpus=2)
    assert (options.root, options.machine, options.seed) == (Path("x"), SimulatedMachine(), 0)


def test_options_are_the_machines_fields() -> None:
    """Watts, domains and numbers are set."""
    given = words("--root x --sockets 1 --no-dram --psys --idle-w 5 --busy-w 25.5 --seed 7")
    options = read_options(given, cpus=1)
    assert options.machine == SimulatedMachine(sockets=1, dram=False, psys=True, idle_w=5, busy_w=25.5)
    assert options.seed == 7


def test_a_range_chooses_the_bits_of_all_counters() -> None:
    """Memory has another unit, and so other bits for a similar range."""
    machine = read_options(words("--root x --range-j 1000"), cpus=2).machine
    ranges = [domain.max_energy_range_uj / 1e6 for domain in machine.domains[:2]]
    assert ranges == pytest.approx([1024, 1027], rel=0.001)
    assert read_options(words("--root x --range-j 262143"), cpus=2).machine.dram_bits == 32


def test_every_mistake_is_reported_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Words in place of numbers, impossible machines and more sockets than CPUs, each with a cure."""
    given = words("--root x --sockets 4 --idle-w warm --noise 3 --range-j 0 --seed 1.5 --busy-w inf")
    with pytest.raises(SystemExit) as ended:
        read_options(given, cpus=2)
    printed = capsys.readouterr().err
    assert ended.value.code == 2
    assert "6 mistake(s)" in printed
    for part in ("--idle-w warm", "--seed 1.5", "--busy-w inf", "noise is 3", "--range-j 0", "at most 2"):
        assert part in printed


def test_a_power_that_readers_do_not_believe_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """This holds for the memory too, with a cure."""
    with pytest.raises(SystemExit) as ended:
        read_options(words("--root x --dram-busy-w 2000"), cpus=2)
    assert ended.value.code == 2
    assert "lower its busy power" in capsys.readouterr().err


def test_the_welcome_has_the_power_of_a_package() -> None:
    """Not the power of psys, or of a memory that draws more."""
    machine = SimulatedMachine(psys=True, busy_w=100, noise=0.02, dram_busy_w=150)
    assert "5 energy counters, 102 W a package at most" in welcome(Path("x"), machine)


def test_the_example_of_a_range_wraps_as_often_as_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    """The times in --help must hold."""
    machine = read_options(words("--root x --range-j 2000"), cpus=2).machine
    ranges = {domain.kind: domain.max_energy_range_uj / 1e6 for domain in machine.domains}
    assert ranges["package"] / machine.busy_w == pytest.approx(10, rel=0.1)
    assert ranges["package"] / machine.idle_w == pytest.approx(50, rel=0.1)
    assert ranges["dram"] / machine.dram_busy_w == pytest.approx(2 * 60, rel=0.1)
    assert ranges["dram"] / machine.dram_idle_w == pytest.approx(8 * 60, rel=0.1)
    with pytest.raises(SystemExit):
        read_options(["--help"], cpus=2)
    printed = " ".join(capsys.readouterr().out.split())
    assert "every ten seconds when busy and every fifty when idle" in printed
    assert "every two to eight minutes" in printed


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """They can be copied."""
    with pytest.raises(SystemExit):
        read_options(["--help"], cpus=2)
    assert "python -m agent.simulation --root /tmp/machine --range-j 2000" in capsys.readouterr().out


def test_a_folder_of_somebody_else_ends_it_with_a_cure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message is one line, and the exit code is that of a MachineError."""
    (tmp_path / "letter.txt").touch()
    assert main(["--root", str(tmp_path), "--sockets", "1"]) == MachineError.exit_code
    assert "letter.txt" in capsys.readouterr().err
