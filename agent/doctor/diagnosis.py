"""The doctor's result: its records, how they are made of what was read, and their JSON. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agent.doctor.checks import MachineFinding, MachineLoad, findings_of_counters, findings_of_machine
from agent.sensors.base import Missing
from agent.sensors.rapl.domains import Domain, total_scope
from joulefleet.machine import Environment, Machine
from joulefleet.measurement import Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A way to read the energy counters; a study names one as its `energy_source`."""

    name: str
    channels: tuple[str, ...]
    """Names of the domains that it can read."""
    reason: str | None
    """Why it can read none; None where it can read some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyCounters:
    """The energy counters of this machine."""

    domains: tuple[Domain, ...]
    of_running_kernel: bool
    """Whether they belong to the kernel that runs here; rows of any others are marked simulated."""
    longest_power_limit_window_s: float | None
    """Longest time over which the CPU averages its power for a limit, seconds."""
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The result of `joulefleet doctor`."""

    machine: Machine | None
    """Record of the host; None where it has no id, with the reason in `missing`."""
    environment: Environment
    energy: EnergyCounters
    total_scope: str | None
    """Scope of the machine's total energy; None where any part of the total cannot be read."""
    gauges: tuple[Channel, ...]
    """Channels that can be read, other than the energy of CPU and memory."""
    missing: tuple[Missing, ...]
    findings: tuple[MachineFinding, ...]

    def in_total(self, domain: Domain) -> bool:
        """Return whether the domain is added to the total."""
        return self.total_scope is not None and self.total_scope in domain.counts_in


def diagnose(
    *,
    machine: Machine | None,
    environment: Environment,
    load: MachineLoad,
    energy: EnergyCounters,
    gauges: Sequence[Channel],
    missing: Sequence[Missing],
    sharing: Sequence[MachineFinding] = (),
) -> Diagnosis:
    """Return the diagnosis of what was read; `sharing` holds the findings about a container's mounts."""
    scope = total_scope(energy.domains)
    if any(d.reason is not None for d in energy.domains if scope in d.counts_in):
        scope = None
    # Noise matters only in counters that can be read.
    filtered = environment.energy_filter if any(d.reason is None for d in energy.domains) else None
    return Diagnosis(
        machine=machine,
        environment=environment,
        energy=energy,
        total_scope=scope,
        gauges=tuple(gauges),
        missing=tuple(missing),
        findings=(
            *sharing,
            *findings_of_machine(machine, environment, load),
            *findings_of_counters(
                scope=scope, of_running_kernel=energy.of_running_kernel, energy_filter=filtered, gauges=gauges
            ),
        ),
    )


def as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return the diagnosis as plain data, whose keys scripts may rely on."""
    energy = diagnosis.energy
    return {
        "machine": None if diagnosis.machine is None else asdict(diagnosis.machine),
        "environment": asdict(diagnosis.environment),
        "domains": [
            {
                "name": d.channel,
                "kind": d.kind,
                "unit": "uJ",
                "range_uj": d.range_uj,
                "peak_w": d.peak_w,
                "power_limits": [asdict(limit) for limit in d.limits],
                "in_total": diagnosis.in_total(d),
                "readable": d.reason is None,
                "reason": d.reason,
            }
            for d in energy.domains
        ],
        "of_running_kernel": energy.of_running_kernel,
        "energy_sources": [asdict(source) for source in energy.sources],
        "total_scope": diagnosis.total_scope,
        "longest_power_limit_window_s": energy.longest_power_limit_window_s,
        "gauges": [asdict(gauge) for gauge in diagnosis.gauges],
        "missing": [asdict(m) for m in diagnosis.missing],
        "findings": [asdict(f) for f in diagnosis.findings],
    }
