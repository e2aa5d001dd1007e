from collections.abc import Sequence
from math import nan
from typing import Literal

import pytest

from agent.results.gpu_energy import gpu_energies
from agent.sensors.gpu.nvml import GpuEnergy
from joulefleet.measurement import Energy, Phase

S = 1_000_000_000
WINDOW = Phase(name="window", start_ns=0, end_ns=10 * S)
SECONDS = [t * S for t in range(11)]


def gpu(
    how: Literal["counter", "integrated"] = "counter", *, name: str = "gpu-0", reason: str | None = None
) -> GpuEnergy:
    """Return a GPU of this kind."""
    return GpuEnergy(name=name, how=how, uuid="GPU-0", model="NVIDIA Fake", reason=reason)


def counted(microjoules: Sequence[float], t_ns: Sequence[int] = SECONDS, phase: Phase = WINDOW) -> Energy:
    """Return the energy of one GPU whose counter has these readings."""
    (energy,) = gpu_energies(t_ns, {"gpu-0": microjoules}, [gpu()], [phase])
    return energy


def integrated(watts: Sequence[float], t_ns: Sequence[int] = SECONDS, phase: Phase = WINDOW) -> Energy:
    """Return the energy of one GPU whose power has these readings."""
    (energy,) = gpu_energies(t_ns, {"gpu-0/power_w": watts}, [gpu("integrated")], [phase])
    return energy


def test_a_counter_gives_the_difference_of_the_reads_at_the_two_marks() -> None:
    """Readings between the marks, and failed reads there, change nothing."""
    values = [5e6, *[nan] * 9, 705e6]
    assert counted(values) == Energy(
        phase="window", domain="gpu-0", source="nvml", provenance="measured", joules=700.0, reason=None
    )


def test_a_power_is_integrated_by_trapezoids_under_its_own_source() -> None:
    """0 W to 100 W in ten seconds are 500 J; the source is not that of a counter."""
    energy = integrated([10.0 * t for t in range(11)])
    assert energy.joules == pytest.approx(500.0)
    assert energy.source == "nvml-power-integrated"
    assert energy.provenance == "measured"


def test_readings_outside_the_phase_are_not_integrated() -> None:
    """The integral begins and ends at the marks, each with its own reading."""
    phase = Phase(name="window", start_ns=2 * S, end_ns=8 * S)
    values = [9e9, 9e9, *[50.0] * 7, 9e9, 9e9]
    assert integrated(values, phase=phase).joules == pytest.approx(300.0)


def test_every_gpu_has_a_row_in_every_phase() -> None:
    """Each row has the channel of its GPU's kind."""
    phases = [Phase(name="baseline", start_ns=0, end_ns=5 * S), Phase(name="window", start_ns=5 * S, end_ns=10 * S)]
    values = {"gpu-0": [t * 1e6 for t in range(11)], "gpu-1/power_w": [2.0] * 11}
    energies = gpu_energies(SECONDS, values, [gpu(), gpu("integrated", name="gpu-1")], phases)
    assert [(e.phase, e.domain, e.joules) for e in energies] == [
        ("baseline", "gpu-0", 5.0),
        ("baseline", "gpu-1", 10.0),
        ("window", "gpu-0", 5.0),
        ("window", "gpu-1", 10.0),
    ]


def test_a_machine_without_gpus_has_no_rows() -> None:
    """There is no row that says nothing."""
    assert gpu_energies([], {}, [], [WINDOW]) == ()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([5.0, *[6.0] * 5, 4.0, *[9.0] * 4], "stepped back"),
        ([7.0] * 11, "did not move"),
        ([nan, *[7.0] * 10], "could not be read at the edge"),
        ([*[7.0] * 5, *[nan] * 6], "may be lost"),
        ([nan] * 11, "may be lost"),
    ],
)
def test_a_counter_in_doubt_is_null_with_its_reason(values: Sequence[float], reason: str) -> None:
    """It was reset, stands still, or was not read at a mark: no energy is invented."""
    energy = counted(values)
    assert energy.joules is None
    assert reason in (energy.reason or "")


def test_a_failed_read_at_the_last_mark_is_not_a_lost_gpu() -> None:
    """A GPU that is read again afterwards is not lost."""
    phase = Phase(name="window", start_ns=0, end_ns=9 * S)
    assert "at the edge" in (counted([*range(9), nan, 10.0], phase=phase).reason or "")


@pytest.mark.parametrize(("start_ns", "end_ns"), [(S // 2, 10 * S), (0, 10 * S - 1), (20 * S, 30 * S)])
def test_an_edge_that_was_not_read_is_null(start_ns: int, end_ns: int) -> None:
    """A reading near the mark is not one at the mark."""
    phase = Phase(name="window", start_ns=start_ns, end_ns=end_ns)
    for energy in (counted(range(11), phase=phase), integrated(range(11), phase=phase)):
        assert energy.joules is None
        assert "not read at the edge" in (energy.reason or "")


def test_a_short_phase_is_null() -> None:
    """The limit is 1 s for a counter, because of its refresh, and 5 s for a power, which is a mean."""
    t_ns = [0, S // 2, 4 * S]
    half = Phase(name="items", start_ns=0, end_ns=S // 2)
    four = Phase(name="load", start_ns=0, end_ns=4 * S)
    assert "too short" in (counted([1e6, 2e6, 3e6], t_ns, half).reason or "")
    assert counted([1e6, 2e6, 3e6], t_ns, four).joules == 2.0
    assert "too short" in (integrated([1.0, 2.0, 3.0], t_ns, four).reason or "")


def test_a_gap_between_powers_is_null_also_where_reads_failed() -> None:
    """Up to 2 s are integrated; over longer gaps the power is unknown."""
    bridged = [10.0, 10.0, nan, *[10.0] * 8]
    assert integrated(bridged).joules == pytest.approx(100.0)
    energy = integrated([10.0, 10.0, nan, nan, *[10.0] * 7])
    assert energy.joules is None
    assert "3.0 s without a reading" in (energy.reason or "")


def test_a_gpu_that_cannot_be_read_has_its_own_reason() -> None:
    """Every row has the sensor's reason."""
    (energy,) = gpu_energies(SECONDS, {}, [gpu(reason="it is partitioned")], [WINDOW])
    assert (energy.joules, energy.reason) == (None, "it is partitioned")


def test_a_phase_in_which_the_machine_slept_is_null() -> None:
    """As for every other energy, the phase's seconds and joules no longer belong together."""
    values = {"gpu-0": [t * 1e6 for t in range(11)]}
    (energy,) = gpu_energies(SECONDS, values, [gpu()], [WINDOW], asleep=["window"])
    assert "suspended" in (energy.reason or "")
