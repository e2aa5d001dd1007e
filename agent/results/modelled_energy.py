"""Modelled energy: a stand-in where no counter can be read, never called measured. Pure.

Power is taken as linear in CPU utilisation between an idle and a busy power of each logical CPU
(Fan, Weber and Barroso, "Power provisioning for a warehouse-sized computer", ISCA 2007, doi
10.1145/1250662.1250665). The default powers are Cloud Carbon Footprint's averages for a logical CPU.
The model knows neither frequency nor memory nor what the instructions are: on equal utilisation it
says no more than the time does.
"""

from __future__ import annotations

from collections.abc import Sequence

from joulefleet.measurement import Energy, Phase
from joulefleet.study.spec import Modelled

SOURCE = "modelled"
DOMAIN = "cpu"

FORMULA = (
    "seconds * logical_cpus * (idle_w_per_cpu + (busy_w_per_cpu - idle_w_per_cpu) * utilisation), "
    "utilisation = min(1, machine_cpu_s / (logical_cpus * seconds))"
)
"""How the joules of a phase come about; the names are those of `modelled_parameters` and of the phase."""


def modelled_parameters(model: Modelled, *, logical_cpus: int) -> dict[str, float]:
    """The parameters of `FORMULA`: powers in watts, and the number of logical CPUs."""
    return {
        "idle_w_per_cpu": model.idle_w_per_cpu,
        "busy_w_per_cpu": model.busy_w_per_cpu,
        "logical_cpus": float(logical_cpus),
    }


def modelled_energies(phases: Sequence[Phase], model: Modelled, *, logical_cpus: int) -> tuple[Energy, ...]:
    """Joules of all the machine's `logical_cpus` together in each phase, or None with the reason."""
    return tuple(_energy(phase, model, logical_cpus) for phase in phases)


def _energy(phase: Phase, model: Modelled, cpus: int) -> Energy:
    joules: float | None = None
    reason: str | None = None
    if phase.machine_cpu_s is None:
        reason = "the CPU time of the machine could not be read"
    elif phase.seconds <= 0 or cpus <= 0:
        reason = "the phase has no duration"
    else:
        # CPU time comes in ticks of 10 ms, and so may exceed what a short phase holds.
        utilisation = min(1.0, max(0.0, phase.machine_cpu_s) / (cpus * phase.seconds))
        watts = cpus * (model.idle_w_per_cpu + (model.busy_w_per_cpu - model.idle_w_per_cpu) * utilisation)
        joules = watts * phase.seconds
    return Energy(phase=phase.name, domain=DOMAIN, source=SOURCE, provenance="modelled", joules=joules, reason=reason)
