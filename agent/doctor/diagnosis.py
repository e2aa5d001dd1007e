"""What a machine can measure, what not, and what here spoils a measurement. Pure: records in, records out."""

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
    """One of the ways to read the energy counters; a study names the one it wants."""

    name: str
    channels: tuple[str, ...]
    """The domains that it can read."""
    reason: str | None
    """Why it reads none, where it reads none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyCounters:
    """The energy counters that were found."""

    domains: tuple[Domain, ...]
    own: bool
    """Whether they are the running kernel's; else what they say is no measurement of this machine."""
    longest_power_limit_window_s: float | None
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All that `joulefleet doctor` says."""

    machine: Machine | None
    """None where the machine has no id; `missing` then says so."""
    environment: Environment
    energy: EnergyCounters
    total_scope: str | None
    """What the machine's energy is the sum of; None where any part of it cannot be read."""
    gauges: tuple[Channel, ...]
    """What can be read beside the energy of the CPU and the memory."""
    missing: tuple[Missing, ...]
    findings: tuple[MachineFinding, ...]

    def in_total(self, domain: Domain) -> bool:
        """Whether the domain is added to the total."""
        return self.total_scope is not None and self.total_scope in domain.counts_in


def diagnose(
    *,
    machine: Machine | None,
    environment: Environment,
    observed: MachineLoad,
    energy: EnergyCounters,
    gauges: Sequence[Channel],
    missing: Sequence[Missing],
    sharing: Sequence[MachineFinding] = (),
) -> Diagnosis:
    """Judge what was found."""
    scope = total_scope(energy.domains)
    if any(d.reason is not None for d in energy.domains if scope in d.counts_in):
        scope = None
    # Noise in counters that nobody can read spoils nothing.
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
            *findings_of_machine(machine, environment, observed),
            *findings_of_counters(scope=scope, own=energy.own, energy_filter=filtered, gauges=gauges),
        ),
    )


def as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """The diagnosis as plain data with stable keys."""
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
        "own": energy.own,
        "energy_sources": [asdict(source) for source in energy.sources],
        "total_scope": diagnosis.total_scope,
        "longest_power_limit_window_s": energy.longest_power_limit_window_s,
        "gauges": [asdict(gauge) for gauge in diagnosis.gauges],
        "missing": [asdict(m) for m in diagnosis.missing],
        "findings": [asdict(f) for f in diagnosis.findings],
    }
