"""From the observations of an attempt to its `Measurement`: all arithmetic is done here, after the work has ended."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace

from pydantic import TypeAdapter

from agent.results.conditions import conditions_of
from agent.results.energy import choose_scope, counter_series, phase_energies, provenance_of
from agent.results.gpu_energy import gpu_energies
from agent.results.modelled_energy import FORMULA, modelled_energies, modelled_parameters
from agent.results.scoring import quality
from agent.results.series import channel, growth, mean, percentiles_s, thinned, values_in
from agent.sensors.rapl.sensor import EnergySensor
from agent.trial.attempt import Observations
from agent.trial.sensor_set import SensorSet
from joulefleet.counters import slept
from joulefleet.measurement import (
    Conditions,
    Energy,
    Measurement,
    Memory,
    Phase,
    PowerLimit,
    Readings,
    WorkDone,
)
from joulefleet.plan.trial import Trial

_WORK: TypeAdapter[WorkDone] = TypeAdapter(WorkDone)


def measurement(
    trial: Trial,
    observed: Observations,
    sensors: SensorSet,
    *,
    weights_digest: str,
    logical_cpus: int,
    started_at_ns: int,
    wall_s: float,
) -> Measurement:
    """Return the measurement of a trial whose work ended without an error.

    Raises KeyError, TypeError or ValueError where the facts that the work sent are not of the expected form.
    """
    readings = sensors.sampler.readings()
    machine_cpu = channel(readings, "machine_cpu_s")
    phases = tuple(replace(phase, machine_cpu_s=growth(machine_cpu, phase)) for phase in observed.phases)
    by_name = {phase.name: phase for phase in phases}
    window = by_name["window"]
    asleep = [phase.name for phase in phases if slept(observed.clock_offsets_ns(phase))]
    modelled = trial.modelled
    energies = _counted_energies(sensors, phases, asleep) + (
        modelled_energies(phases, modelled, logical_cpus=logical_cpus) if modelled else ()
    )
    conditions = conditions_of(
        readings,
        baseline=by_name["baseline"],
        window=window,
        package_temperatures=sensors.thermal.package_channels,
    )
    foreign_s = _foreign_s(window, observed.observer_cpu_s)
    steal_s = growth(channel(readings, "machine_steal_s"), window)
    score, no_score = quality(trial.protocol, observed.facts)
    latencies_ns = array("q", observed.facts["latencies_ns"])
    # From the list, whose numbers are objects already: of an array, sorting would make new ones, 20 MB in eight hours.
    p50, p90, p99 = percentiles_s(observed.facts["latencies_ns"])
    return Measurement(
        started_at_ns=started_at_ns,
        phases=phases,
        energies=energies,
        primary=choose_scope(energies, phase="window"),
        work=_work(observed, trial.protocol.passes),
        memory=_memory(observed, readings, window),
        conditions=conditions,
        power_limits=_power_limits(sensors.energy),
        observer_cpu_s=observed.observer_cpu_s,
        foreign_cpu_s=foreign_s,
        steal_s=steal_s,
        log_bytes=observed.log_bytes,
        weights_digest=weights_digest,
        flags=_flags(trial, observed, window, conditions, foreign_s=foreign_s, steal_s=steal_s, asleep=bool(asleep)),
        quality=score,
        quality_metric=trial.protocol.task.metric,
        quality_reason=no_score,
        modelled_formula=FORMULA if modelled else None,
        modelled_parameters=modelled_parameters(modelled, logical_cpus=logical_cpus) if modelled else {},
        latency_p50_s=p50,
        latency_p90_s=p90,
        latency_p99_s=p99,
        latencies_ns=thinned(latencies_ns),
        readings=_thinned(readings),
        wall_s=wall_s,
    )


def _counted_energies(sensors: SensorSet, phases: Sequence[Phase], asleep: Sequence[str]) -> tuple[Energy, ...]:
    energy, gpu = sensors.energy, sensors.gpu
    counted = phase_energies(
        counter_series(sensors.sampler.readings_of(energy)),
        energy.domains,
        phases,
        source=energy.name,
        provenance=provenance_of(energy),
        asleep=asleep,
    )
    series = counter_series(sensors.sampler.readings_of(gpu))
    return (counted or _no_energies(energy, phases)) + gpu_energies(
        series.t_ns, series.values, gpu.gpus, phases, asleep=asleep
    )


def _no_energies(energy: EnergySensor, phases: Sequence[Phase]) -> tuple[Energy, ...]:
    """Return an energy for each phase that holds the reason why no counter was read."""
    why = "; ".join(missing.message for missing in energy.missing) or "no energy counter was found"
    return tuple(
        Energy(phase=p.name, domain="package", source=energy.name, provenance="measured", joules=None, reason=why)
        for p in phases
    )


def _power_limits(energy: EnergySensor) -> tuple[PowerLimit, ...]:
    return tuple(
        PowerLimit(domain=domain.channel, name=limit.name, watts=limit.watts, window_s=limit.window_s)
        for domain in energy.domains
        for limit in domain.limits
    )


def _foreign_s(window: Phase, observer_s: float | None) -> float | None:
    """Return the CPU seconds of all processes that are neither the work nor observers."""
    if window.machine_cpu_s is None or window.cpu_s is None or observer_s is None:
        return None
    # The machine's CPU time has a resolution of 10 ms, so an idle machine may seem to have used less than 0.
    return max(0.0, window.machine_cpu_s - window.cpu_s - observer_s)


def _work(observed: Observations, passes: int) -> WorkDone:
    work = _WORK.validate_python(observed.facts)
    return replace(
        work,
        items=work.items * passes,
        tokens=work.tokens * passes,
        padded_tokens=work.padded_tokens * passes,
    )


def _memory(observed: Observations, readings: Sequence[Readings], window: Phase) -> Memory:
    def peak(name: str) -> int | None:
        highest = max(values_in(channel(readings, name), window), default=None)
        return None if highest is None else int(highest)

    base_rss, base_anon, base_file = observed.base_memory
    pss, uss = observed.pss_uss
    mean_rss = mean(values_in(channel(readings, "work_rss_bytes"), window))
    return Memory(
        base_rss_bytes=base_rss,
        base_anon_bytes=base_anon,
        base_file_bytes=base_file,
        peak_rss_bytes=peak("work_rss_bytes"),
        peak_anon_bytes=peak("work_anon_bytes"),
        peak_file_bytes=peak("work_file_bytes"),
        mean_rss_bytes=None if mean_rss is None else round(mean_rss),
        pss_bytes=pss,
        uss_bytes=uss,
    )


def _flags(
    trial: Trial,
    observed: Observations,
    window: Phase,
    conditions: Conditions,
    *,
    foreign_s: float | None,
    steal_s: float | None,
    asleep: bool,
) -> tuple[str, ...]:
    limits = trial.thresholds

    def above(seconds: float | None, percent: float) -> bool:
        return seconds is not None and 100 * seconds / window.seconds > percent

    flags = {
        "foreign_cpu": above(foreign_s, limits.foreign_cpu_percent),
        "steal": above(steal_s, limits.steal_percent),
        "observer_cpu": above(observed.observer_cpu_s, limits.observer_cpu_percent),
        "log_flood": observed.log_bytes > limits.log_bytes,
        "suspended": asleep,
        "throttled": bool(conditions.throttle_events),
        "cgroup_throttled": bool(conditions.cgroup_throttled_s),
        "short_window": trial.kind == "trial" and window.seconds < trial.protocol.timing.window_at_least_s,
    }
    return (*observed.flags, *(flag for flag, is_set in flags.items() if is_set))


def _thinned(readings: Sequence[Readings]) -> tuple[Readings, ...]:
    """Return the readings as a row holds them, so that the long series are freed together with the sampler."""
    times: dict[int, Sequence[int]] = {}
    return tuple(
        Readings(
            channel=series.channel,
            # The channels of one sensor share one sequence of times.
            t_ns=times.setdefault(id(series.t_ns), thinned(series.t_ns)),
            value=thinned(series.value),
        )
        for series in readings
    )
