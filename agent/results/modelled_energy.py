"""Energy computed from CPU utilisation, for machines without a readable counter. Never reported as measured. Pure.

Power is modelled as linear in CPU utilisation between an idle and a busy power of each logical CPU
(Fan, Weber and Barroso, "Power provisioning for a warehouse-sized computer", ISCA 2007, doi
10.1145/1250662.1250665). The default powers are Cloud Carbon Footprint's averages for a logical CPU.
The model ignores frequency, memory and the kind of instructions: at equal utilisation it is proportional
to the duration.
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
"""Formula of a phase's joules; its names are those of `modelled_parameters` and of the fields of `Phase`."""


def modelled_parameters(model: Modelled, *, logical_cpus: int) -> dict[str, float]:
    """Return the parameters of `FORMULA`: powers in watts, and the number of logical CPUs."""
    return {
        "idle_w_per_cpu": model.idle_w_per_cpu,
        "busy_w_per_cpu": model.busy_w_per_cpu,
        "logical_cpus": float(logical_cpus),
    }


def modelled_energies(phases: Sequence[Phase], model: Modelled, *, logical_cpus: int) -> tuple[Energy, ...]:
    """Return the joules of all `logical_cpus` of the machine together in each phase, or None with the reason."""
    return tuple(_energy(phase, model, logical_cpus) for phase in phases)


def _energy(phase: Phase, model: Modelled, cpus: int) -> Energy:
    joules: float | None = None
    reason: str | None = None
    if phase.machine_cpu_s is None:
        reason = "the CPU time of the machine could not be read"
    elif phase.seconds <= 0 or cpus <= 0:
        reason = "the phase has no duration"
    else:
        # CPU time has a resolution of 10 ms, so it may be longer than a short phase.
        utilisation = min(1.0, max(0.0, phase.machine_cpu_s) / (cpus * phase.seconds))
        watts = cpus * (model.idle_w_per_cpu + (model.busy_w_per_cpu - model.idle_w_per_cpu) * utilisation)
        joules = watts * phase.seconds
    return Energy(phase=phase.name, domain=DOMAIN, source=SOURCE, provenance="modelled", joules=joules, reason=reason)
