"""The simulated machine in real time, on a clock set by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sensors.rapl.powercap import open_powercap
from agent.sensors.system.thermal import open_thermal
from agent.simulation.live import LiveMachine, Load, cpu_times, sockets_of
from agent.simulation.machine import SimulatedMachine
from agent.simulation.tree import TRUTH, SimulatedTree, make_tree
from agent.simulation.truth import TruthLog, read_truth

MACHINE = SimulatedMachine(sockets=2, dram=True, bits=24, dram_bits=24, noise=0.0)
CPUS = {0: 0, 1: 1}
MS = 1_000_000

STAT = """cpu  300 0 100 1600 0 0 0 0 0 0
cpu0 {0} 0 0 {1} 0 0 0 0 0 0
cpu1 100 0 0 900 0 0 0 0 0 0
intr 12 0
"""


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[SimulatedTree]:
    """Yield the tree of the machine in `tmp_path`."""
    tree = make_tree(tmp_path, MACHINE, CPUS)
    yield tree
    tree.close()


@pytest.fixture
def log(tree: SimulatedTree, tmp_path: Path) -> Iterator[TruthLog]:
    """Yield its log."""
    log = TruthLog(tmp_path / TRUTH, [domain.channel for domain in MACHINE.domains])
    yield log
    log.close()


def test_the_counters_and_the_log_have_the_same_energy(tree: SimulatedTree, log: TruthLog, tmp_path: Path) -> None:
    """Both are power times time."""
    live = LiveMachine(MACHINE, tree, log, CPUS, seed=1, now_ns=0)
    sensor = open_powercap(tmp_path)
    before = sensor.decode(sensor.read())
    live.follow({0: 1.0, 1: 0.0}, passed_s=0.1)
    for step in range(1, 101):
        live.step(step * MS)
    after = sensor.decode(sensor.read())
    log.flush()
    truth = read_truth(tmp_path / TRUTH)
    sensor.close()
    joules = [truth.joules(domain.channel, 0, 100 * MS) for domain in MACHINE.domains]
    assert joules == [20.0, 1.6, 4.0, 0.4]
    for domain, v0, v1, true in zip(sensor.domains, before, after, joules, strict=True):
        assert v0 is not None
        assert v1 is not None
        assert (v1 - v0) % (domain.range_uj or 0) / 1e6 == pytest.approx(true, abs=2e-4)


def test_a_busy_package_warms_slowly_towards_its_limit(tree: SimulatedTree, log: TruthLog, tmp_path: Path) -> None:
    """It warms quickly at first and never passes its final temperature."""
    live = LiveMachine(MACHINE, tree, log, CPUS, seed=1, now_ns=0)
    thermal = open_thermal(tmp_path)
    degrees = []
    for _ in range(20):
        live.follow({0: 1.0, 1: 0.0}, passed_s=5.0)
        hot, cool = thermal.decode(thermal.read())
        assert hot is not None
        assert cool is not None
        assert hot > cool
        degrees.append(hot)
    thermal.close()
    assert degrees == sorted(degrees)
    assert 80 < degrees[-1] <= 85


def test_run_steps_until_it_is_told_to_stop(tree: SimulatedTree, log: TruthLog, tmp_path: Path) -> None:
    """All records reach the file, also that of the last step."""
    times = iter(range(0, 10_000_000 * MS, MS))
    stops = iter([False] * 500 + [True])
    (tmp_path / "stat").write_text(STAT.format("0" * 3 + "100", 900))
    load = Load(tmp_path / "stat")
    live = LiveMachine(MACHINE, tree, log, CPUS, seed=1, now_ns=next(times))
    live.run(load, lambda: next(stops), clock_ns=lambda: next(times))
    load.close()
    first, last = read_truth(tmp_path / TRUTH).span_ns
    assert first == 0
    assert last >= 500 * MS


def test_the_load_is_the_use_of_the_cpus_since_the_last_call(tmp_path: Path) -> None:
    """A CPU without any tick since then is idle."""
    stat = tmp_path / "stat"
    stat.write_text(STAT.format(100, 900))
    load = Load(stat)
    stat.write_text(STAT.format(150, 950))
    assert load.cpus == (0, 1)
    assert load.per_cpu() == {0: 0.5, 1: 0.0}
    load.close()


def test_stolen_time_is_busy_and_waiting_is_idle() -> None:
    """A virtual CPU that waits for its host uses power; one that waits for a disk does not."""
    times = cpu_times(b"cpu  9 9 9 9 9 9 9 9\ncpu3 1 2 4 8 16 32 64 128 256 512\n")
    assert times.keys() == {3}
    assert (times[3].busy, times[3].idle) == (1 + 2 + 4 + 32 + 64 + 128, 8 + 16)


def test_cpus_are_distributed_evenly() -> None:
    """Neighbours share a socket, and every socket has a CPU."""
    assert sockets_of([0, 1, 2, 3], 2) == {0: 0, 1: 0, 2: 1, 3: 1}
    assert sorted(sockets_of(range(5), 3).values()) == [0, 0, 1, 1, 2]
