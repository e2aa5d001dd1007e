from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.results.gpu_energy import gpu_energies
from agent.sensors.gpu.nvml import GpuEnergy
from joulefleet.measurement import Phase

S = 1_000_000_000
COUNTER = GpuEnergy(name="gpu-0", how="counter", uuid=None, model=None, reason=None)
POWER = GpuEnergy(name="gpu-0", how="integrated", uuid=None, model=None, reason=None)


@given(
    start_uj=st.integers(0, 2**50),
    steps_mj=st.lists(st.integers(1, 10**7), min_size=2, max_size=40),
    gaps_ns=st.lists(st.integers(S, 60 * S), min_size=40, max_size=40),
    data=st.data(),
)
def test_the_energies_of_adjacent_phases_add_up(
    start_uj: int, steps_mj: list[int], gaps_ns: list[int], data: st.DataObject
) -> None:
    """The energy of a whole is the sum of its parts, wherever the mark between them is."""
    values = [float(value) for value in accumulate((1000 * step for step in steps_mj), initial=start_uj)]
    t_ns = list(accumulate(gaps_ns[: len(steps_mj)], initial=0))
    cut = data.draw(st.integers(1, len(steps_mj) - 1))
    phases = [
        Phase(name="warm_up", start_ns=t_ns[0], end_ns=t_ns[cut]),
        Phase(name="window", start_ns=t_ns[cut], end_ns=t_ns[-1]),
        Phase(name="startup", start_ns=t_ns[0], end_ns=t_ns[-1]),
    ]
    first, second, whole = (e.joules for e in gpu_energies(t_ns, {"gpu-0": values}, [COUNTER], phases))
    assert first is not None
    assert second is not None
    assert first + second == pytest.approx(whole, rel=1e-12)


@given(st.lists(st.tuples(st.integers(1, 2 * S), st.floats(0, 2_000)), min_size=1, max_size=60))
def test_an_integrated_energy_lies_between_the_least_and_the_highest_power(steps: list[tuple[int, float]]) -> None:
    """A power between two bounds gives an energy between these bounds times the time, or null."""
    t_ns = list(accumulate((gap for gap, _ in steps), initial=0))
    watts = [steps[0][1], *(power for _, power in steps)]
    phase = Phase(name="window", start_ns=0, end_ns=t_ns[-1])
    (energy,) = gpu_energies(t_ns, {"gpu-0/power_w": watts}, [POWER], [phase])
    assert (energy.joules is None) == (phase.seconds < 5)
    if energy.joules is not None:
        assert min(watts) * phase.seconds * (1 - 1e-9) <= energy.joules <= max(watts) * phase.seconds * (1 + 1e-9)
