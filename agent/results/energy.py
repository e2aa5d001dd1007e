"""Joules of each phase from the readings of the energy counters. Pure.

At each mark the agent reads every counter, and a phase begins and ends at the times of those reads. So an
energy is a difference of two reads; the reads between them only serve to count the wraps.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan

from agent.results.series import part
from agent.sensors.rapl.domains import SCOPES, Domain
from agent.sensors.rapl.sensor import EnergySensor
from joulefleet.counters import Gap, Known, Unknown, counter_total, observed_peak_w, resets, steps_back
from joulefleet.measurement import Energy, EnergyProvenance, Phase, PrimaryEnergy, Readings

SHORTEST_S = 0.1
"""Shortest phase that has an energy, seconds. RAPL is refreshed about every millisecond, without a timestamp: in a
shorter phase the error is over 1 %."""

_MAY_STAND_STILL = ("uncore", "other")
"""Kinds of domains whose counter may stand still: a graphics unit that is switched off. Any other is broken then."""

_RESET = "the machine's counters were reset during the phase"


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterSeries:
    """The readings of all energy counters: common times in ns, microjoules by channel, NaN where a read failed."""

    t_ns: Sequence[int]
    values: Mapping[str, Sequence[float]]

    def between(self, start_ns: int, end_ns: int) -> CounterSeries:
        """Return the readings from `start_ns` to `end_ns`, both included, without a copy of arrays."""
        span = slice(bisect_left(self.t_ns, start_ns), bisect_right(self.t_ns, end_ns))
        return CounterSeries(
            t_ns=part(self.t_ns, span), values={name: part(series, span) for name, series in self.values.items()}
        )


def counter_series(readings: Sequence[Readings]) -> CounterSeries:
    """Return the readings of one sensor, whose channels share their times, as one series."""
    return CounterSeries(t_ns=readings[0].t_ns if readings else (), values={r.channel.name: r.value for r in readings})


def provenance_of(energy: EnergySensor) -> EnergyProvenance:
    """Return `measured` for a sensor of this machine's own kernel, `simulated` for counters in other files."""
    return "measured" if energy.of_running_kernel else "simulated"


def phase_energies(
    series: CounterSeries,
    domains: Sequence[Domain],
    phases: Sequence[Phase],
    *,
    source: str,
    provenance: EnergyProvenance,
    asleep: Collection[str] = (),
) -> tuple[Energy, ...]:
    """Return the joules of every domain and of every scope in every phase, or None with the reason.

    `asleep` names the phases in which the machine was suspended.
    """
    domains = [_with_observed_peak(domain, series) for domain in domains]
    energies = []
    for phase in phases:
        inside = series.between(phase.start_ns, phase.end_ns)
        totals = _phase_totals(inside, domains, phase, asleep=phase.name in asleep)
        energies += [_energy(phase.name, domain, source, provenance, total) for domain, total in totals.items()]
    return tuple(energies)


def choose_scope(energies: Iterable[Energy], *, phase: str = "window") -> PrimaryEnergy:
    """Return the counted energy of `phase` in the fullest scope of the machine: package+dram, else package."""
    totals = {e.domain: e for e in energies if e.phase == phase and e.provenance != "modelled" and e.domain in SCOPES}
    for scope in SCOPES:
        if scope in totals:
            total = totals[scope]
            return PrimaryEnergy(
                scope=scope,
                source=total.source,
                provenance=total.provenance,
                joules=total.joules,
                reason=total.reason,
            )
    none = "no energy counter of a package was read"
    return PrimaryEnergy(scope=None, source=None, provenance=None, joules=None, reason=none)


def _phase_totals(
    inside: CounterSeries, domains: Sequence[Domain], phase: Phase, *, asleep: bool
) -> dict[str, Known | Unknown]:
    totals = {d.channel: _total(inside, d, phase, asleep=asleep) for d in domains}
    _spread_resets(totals, inside, domains)
    for scope in SCOPES:
        parts = [d.channel for d in domains if scope in d.counts_in]
        if parts:
            totals[scope] = _sum({channel: totals[channel] for channel in parts})
    return totals


def _spread_resets(totals: dict[str, Known | Unknown], inside: CounterSeries, domains: Sequence[Domain]) -> None:
    """Make the energies of the other counters unknown where one counter was reset.

    Counters are reset together (by a resume, a reload of the driver, a migration of the virtual machine), but
    a reset from near the range looks like a wrap in the arithmetic. So a reset that is visible in one counter
    of a scope counts for all counters. The other counters may be reset alone (psys), so their resets only
    count for the counters that stepped back at the same moment.
    """
    gaps: list[Gap] = []
    all_reset = False
    for domain in domains:
        if domain.channel not in inside.values:
            continue
        # Also of a counter whose own total is unknown for another reason.
        reset_gaps = resets(inside.t_ns, inside.values[domain.channel], range_uj=domain.range_uj, peak_w=domain.peak_w)
        all_reset = all_reset or bool(reset_gaps and domain.counts_in)
        gaps += reset_gaps
    if not gaps:
        return
    for domain in domains:
        values = inside.values.get(domain.channel)
        if values is None or isinstance(totals[domain.channel], Unknown):
            continue
        if all_reset or set(gaps) & set(steps_back(inside.t_ns, values)):
            totals[domain.channel] = Unknown(_RESET, "reset")


def _with_observed_peak(domain: Domain, series: CounterSeries) -> Domain:
    values = series.values.get(domain.channel)
    observed = None if values is None else observed_peak_w(series.t_ns, values, range_uj=domain.range_uj)
    return domain if observed is None else replace(domain, peak_w=max(domain.peak_w, 2 * observed))


def _total(inside: CounterSeries, domain: Domain, phase: Phase, *, asleep: bool) -> Known | Unknown:
    if asleep:
        return Unknown(f"the machine was suspended during the phase {phase.name}")
    if domain.reason is not None:
        return Unknown(domain.reason)
    if phase.seconds < SHORTEST_S:
        return Unknown(f"{phase.seconds * 1000:.0f} ms is too short: no energy under {SHORTEST_S * 1000:.0f} ms")
    values = inside.values.get(domain.channel)
    if values is None or all(isnan(value) for value in values):
        return Unknown("the counter was not read")
    if inside.t_ns[0] != phase.start_ns or inside.t_ns[-1] != phase.end_ns:
        return Unknown("the counter was not read at the edge of the phase")
    total = counter_total(inside.t_ns, values, range_uj=domain.range_uj, peak_w=domain.peak_w)
    if isinstance(total, Known) and total.total == 0 and domain.kind not in _MAY_STAND_STILL:
        return Unknown("the counter did not move: it is not being refreshed")
    return total


def _sum(parts: Mapping[str, Known | Unknown]) -> Known | Unknown:
    # An unknown part makes the sum unknown, and its channel is named in the reason.
    unknown = {channel: part.reason for channel, part in parts.items() if isinstance(part, Unknown)}
    if unknown:
        reasons = set(unknown.values())
        if len(reasons) == 1 and len(unknown) == len(parts):
            return Unknown(reasons.pop())
        return Unknown("; ".join(f"{channel}: {reason}" for channel, reason in unknown.items()))
    return Known(sum(part.total for part in parts.values() if isinstance(part, Known)))


def _energy(phase: str, domain: str, source: str, provenance: EnergyProvenance, total: Known | Unknown) -> Energy:
    return Energy(
        phase=phase,
        domain=domain,
        source=source,
        provenance=provenance,
        joules=total.total / 1e6 if isinstance(total, Known) else None,
        reason=total.reason if isinstance(total, Unknown) else None,
    )
