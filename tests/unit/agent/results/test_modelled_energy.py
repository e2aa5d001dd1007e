import pytest

from agent.results.modelled_energy import FORMULA, modelled_energies, modelled_parameters
from joulefleet.measurement import Phase
from joulefleet.study.spec import Modelled

MODEL = Modelled(idle_w_per_cpu=1.0, busy_w_per_cpu=4.0)
SECOND = 1_000_000_000


def window(machine_cpu_s: float | None, seconds: int = 10) -> Phase:
    """Return a window in which the machine used this CPU time."""
    return Phase(name="window", start_ns=0, end_ns=seconds * SECOND, machine_cpu_s=machine_cpu_s)


@pytest.mark.parametrize(("busy_s", "joules"), [(0.0, 80.0), (40.0, 200.0), (80.0, 320.0)])
def test_power_is_linear_between_idle_and_busy(busy_s: float, joules: float) -> None:
    """Eight CPUs over 10 s draw 1 W each when idle, 4 W each when busy, and the mean at half load."""
    (energy,) = modelled_energies([window(busy_s)], MODEL, logical_cpus=8)
    assert energy.joules == pytest.approx(joules)


def test_modelled_energy_is_never_reported_as_measured() -> None:
    """Its provenance, source and domain are its own."""
    (energy,) = modelled_energies([window(1.0)], MODEL, logical_cpus=8)
    assert (energy.provenance, energy.source, energy.domain) == ("modelled", "modelled", "cpu")


def test_utilisation_is_one_at_most() -> None:
    """In a short phase, the CPU time in ticks may be longer than the phase."""
    (energy,) = modelled_energies([window(81.0)], MODEL, logical_cpus=8)
    assert energy.joules == pytest.approx(320.0)


def test_without_cpu_time_there_is_no_modelled_energy() -> None:
    """Unreadable input gives null with the reason, never the idle power."""
    (energy,) = modelled_energies([window(None)], MODEL, logical_cpus=8)
    assert energy.joules is None
    assert energy.reason == "the CPU time of the machine could not be read"


def test_a_phase_without_duration_has_no_modelled_energy() -> None:
    """Its utilisation is not defined."""
    (energy,) = modelled_energies([window(0.0, seconds=0)], MODEL, logical_cpus=8)
    assert energy.joules is None


def test_every_parameter_of_the_formula_is_recorded() -> None:
    """The joules can be computed again from the row alone."""
    parameters = modelled_parameters(MODEL, logical_cpus=8)
    assert parameters == {"idle_w_per_cpu": 1.0, "busy_w_per_cpu": 4.0, "logical_cpus": 8.0}
    assert all(name in FORMULA for name in parameters)
