"""An attempt that was observed into a `Measurement`: all the arithmetic, after the work has ended."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace

from agent.results.conditions import surroundings
from agent.results.energy import choose_scope, counter_series, phase_energies, provenance_of
from agent.results.gpu_energy import gpu_energies
from agent.results.modelled_energy import FORMULA, modelled_energies, modelled_parameters
from agent.results.scoring import score
from agent.results.series import channel, growth, mean, values_in
from agent.results.thinning import thinned
from agent.sensors.rapl.sensor import EnergySensor
from agent.trial.attempt import Observations, memory_of
from agent.trial.sensor_set import SensorSet
from joulefleet.counters import slept
from joulefleet.measurement import (
    Energy,
    Measurement,
    Memory,
    Phase,
    PowerLimit,
    Readings,
    Surroundings,
    WorkDone,
)
from joulefleet.plan.trial import Trial


def measurement(
    trial: Trial,
    seen: Observations,
    sensors: SensorSet,
    *,
    weights_digest: str,
    logical_cpus: int,
    started_at_ns: int,
    wall_s: float,
) -> Measurement:
    """The measurement of a trial whose work ended well. Raises KeyError, ValueError when the work's facts are amiss."""
    readings = sensors.recorder.readings()
    machine_cpu, steal = channel(readings, "machine_cpu_s"), channel(readings, "machine_steal_s")
    phases = tuple(replace(phase, machine_cpu_s=growth(machine_cpu, phase)) for phase in seen.phases)
    window = next(phase for phase in phases if phase.name == "window")
    asleep = [phase.name for phase in phases if slept(seen.clock_offsets_ns(phase))]
    energies = _measured(sensors, phases, asleep) + (
        modelled_energies(phases, trial.modelled, logical_cpus=logical_cpus) if trial.modelled else ()
    )
    scope = choose_scope(energies, phase="window")
    work = _work(trial, seen, weights_digest)
    cpu_s = window.cpu_s
    foreign = (
        # The machine's ticks are 10 ms coarse, so a quiet machine may come out a tick below zero.
        None
        if window.machine_cpu_s is None or cpu_s is None or seen.observer_cpu_s is None
        else max(0.0, window.machine_cpu_s - cpu_s - seen.observer_cpu_s)
    )
    steal_s = growth(steal, window)
    around = surroundings(
        readings,
        baseline=next(phase for phase in phases if phase.name == "baseline"),
        window=window,
        package_temperatures=sensors.thermal.package_channels,
    )
    quality, metric, why_not = _quality(trial, seen)
    return Measurement(
        started_at_ns=started_at_ns,
        passes=trial.protocol.passes,
        phases=phases,
        energies=energies,
        energy_reason=scope.reason if scope.joules is None else None,
        work=work,
        memory=_memory(seen, readings, window),
        surroundings=around,
        power_limits=_power_limits(sensors.energy),
        cpu_s=cpu_s,
        observer_cpu_s=seen.observer_cpu_s,
        foreign_cpu_s=foreign,
        steal_s=steal_s,
        flags=_flags(trial, seen, window, around, foreign_s=foreign, steal_s=steal_s, asleep=bool(asleep)),
        quality=quality,
        quality_metric=metric,
        quality_reason=why_not,
        modelled_formula=FORMULA if trial.modelled else None,
        modelled_parameters=(modelled_parameters(trial.modelled, logical_cpus=logical_cpus) if trial.modelled else {}),
        readings=_thinned(readings),
        wall_s=wall_s,
    )


def _measured(sensors: SensorSet, phases: Sequence[Phase], asleep: Sequence[str]) -> tuple[Energy, ...]:
    energy, gpu = sensors.energy, sensors.gpu
    counted = phase_energies(
        counter_series(sensors.recorder.readings_of(energy)),
        energy.domains,
        phases,
        source=energy.name,
        provenance=provenance_of(energy),
        asleep=asleep,
    )
    series = counter_series(sensors.recorder.readings_of(gpu))
    return (counted or _no_energies(energy, phases)) + gpu_energies(
        series.t_ns, series.values, gpu.gpus, phases, asleep=asleep
    )


def _power_limits(energy: EnergySensor) -> tuple[PowerLimit, ...]:
    return tuple(
        PowerLimit(domain=domain.channel, name=limit.name, watts=limit.watts, window_s=limit.window_s)
        for domain in energy.domains
        for limit in domain.limits
    )


def _no_energies(energy: EnergySensor, phases: Sequence[Phase]) -> tuple[Energy, ...]:
    """A row a phase that says why there is no measured energy."""
    why = "; ".join(missing.message for missing in energy.missing) or "no energy counter was found"
    return tuple(
        Energy(phase=p.name, domain="package", source=energy.name, provenance="measured", joules=None, reason=why)
        for p in phases
    )


def _work(trial: Trial, seen: Observations, weights_digest: str) -> WorkDone:
    facts, passes = seen.facts, trial.protocol.passes
    latencies = array("q", facts["latencies_ns"])
    return WorkDone(
        items=int(facts["items"]) * passes,
        tokens=int(facts["tokens"]) * passes,
        padded_tokens=int(facts["padded_tokens"]) * passes,
        work_ns=int(facts["work_ns"]),
        latencies_ns=latencies,
        log_bytes=seen.log_bytes,
        threads=int(facts["threads"]),
        nice=int(facts["nice"]),
        cpus=tuple(int(cpu) for cpu in facts["cpus"]),
        oom_score_adj=int(facts["oom_score_adj"]),
        omp_num_threads=None if facts["omp_num_threads"] is None else str(facts["omp_num_threads"]),
        privileges=str(facts["privileges"]),
        weights_digest=weights_digest,
        parameters=int(facts["parameters"]),
        model_class=str(facts["model_class"]),
        attention=str(facts["attention"]),
        blas=str(facts["blas"]),
    )


def _flags(
    trial: Trial,
    seen: Observations,
    window: Phase,
    around: Surroundings,
    *,
    foreign_s: float | None,
    steal_s: float | None,
    asleep: bool,
) -> tuple[str, ...]:
    limits, seconds = trial.thresholds, window.seconds
    tests = {
        "foreign_cpu": foreign_s is not None and 100 * foreign_s / seconds > limits.foreign_cpu_percent,
        "steal": steal_s is not None and 100 * steal_s / seconds > limits.steal_percent,
        "observer_cpu": seen.observer_cpu_s is not None
        and 100 * seen.observer_cpu_s / seconds > limits.observer_cpu_percent,
        "log_flood": seen.log_bytes > limits.log_bytes,
        "suspended": asleep,
        "throttled": bool(around.throttle_events),
        "cgroup_throttled": bool(around.cgroup_throttled_s),
        "short_window": trial.kind == "trial" and seconds < trial.protocol.timing.window_at_least_s,
    }
    return (*seen.flags, *(flag for flag, present in tests.items() if present))


def _quality(trial: Trial, seen: Observations) -> tuple[float | None, str | None, str | None]:
    metric, facts, model = trial.protocol.task.metric, seen.facts, trial.protocol.model
    reason: str | None = None
    if metric is None:
        reason = "the task names no metric"
    elif model.weights_source == "seeded":
        reason = "the weights are seeded, so the answers mean nothing"
    elif model.head == "seeded":
        reason = "the head is seeded, so the answers mean nothing"
    elif facts.get("labels_problem"):
        reason = str(facts["labels_problem"])
    elif facts.get("labels") is None:
        reason = "the items have no labels"
    if metric is None or reason is not None:
        return None, metric, reason
    labels = [float(value) for value in facts["labels"]]
    value = score(metric, [float(value) for value in facts["predictions"]], labels)
    return value, metric, None if value is not None else f"{metric} is not defined for these answers"


def _memory(seen: Observations, readings: Sequence[Readings], window: Phase) -> Memory:
    names = ("work_rss_bytes", "work_anon_bytes", "work_file_bytes")
    highest = {name: max(values_in(channel(readings, name), window), default=None) for name in names}
    peak = {name: None if value is None else int(value) for name, value in highest.items()}
    mean_rss = mean(values_in(channel(readings, "work_rss_bytes"), window))
    return memory_of(seen, peak, None if mean_rss is None else round(mean_rss))


def _thinned(every: Sequence[Readings]) -> tuple[Readings, ...]:
    """The readings as the row keeps them: the long series themselves are let go with the recorder."""
    times: dict[int, Sequence[int]] = {}
    return tuple(
        Readings(
            channel=series.channel,
            # The channels of one sensor share one sequence of times.
            t_ns=times.setdefault(id(series.t_ns), thinned(series.t_ns)),
            value=thinned(series.value),
        )
        for series in every
    )
