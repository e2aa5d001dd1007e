"""An attempt's row: trial, machine, environment and outcome in the columns of `joulefleet.schema`."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from math import isnan
from pathlib import Path
from statistics import quantiles
from typing import Any

from agent.results.energy import PrimaryEnergy, choose_scope
from agent.results.thinning import thinned
from joulefleet.machine import Environment, Machine
from joulefleet.measurement import Energy, Failure, Measurement, Outcome, Readings, Surroundings
from joulefleet.plan.trial import Trial
from joulefleet.schema import COLUMNS
from joulefleet.versions import SCHEMA_VERSION


def attempt_row(
    trial: Trial,
    outcome: Outcome,
    *,
    machine: Machine,
    environment: Environment | None,
    boot_id: str | None,
    sysfs_root: Path | None,
) -> dict[str, Any]:
    """Every column of the schema for this attempt; null where the outcome has no value, or nobody was there to look."""
    row: dict[str, Any] = dict.fromkeys(column.name for column in COLUMNS)
    row |= _identity(trial)
    row |= asdict(machine)
    row["machine"] = row.pop("name")
    if environment is not None:
        row |= asdict(environment) | {"environment_id": environment.environment_id}
        row["libraries"] = list(environment.libraries.items())
    row |= {
        "boot_id": boot_id,
        "sysfs_root": None if sysfs_root is None else str(sysfs_root),
        "started_at": datetime.fromtimestamp(outcome.started_at_ns / 1e9, tz=UTC),
        "wall_s": outcome.wall_s,
    }
    row |= _failed(outcome) if isinstance(outcome, Failure) else _measured(trial, outcome)
    return row


def _identity(trial: Trial) -> dict[str, Any]:
    cell, protocol = trial.cell, trial.protocol
    return {
        "schema_version": SCHEMA_VERSION,
        "study": trial.study,
        "trial_id": trial.trial_id,
        "attempt_id": trial.attempt_id,
        "kind": trial.kind,
        "attempt": trial.attempt,
        "round": trial.round,
        "place": trial.place,
        "protocol": protocol.digest,
        "environment": cell.environment,
        "model": cell.model,
        "task": cell.task,
        "batch_size": cell.batch_size,
        "threads_asked": cell.threads,
        "dtype": cell.dtype,
        "regime": protocol.regime,
        "isolation": protocol.isolation,
        "repetition": trial.block,
        "block": trial.block,
        "position": trial.position,
        "predecessor": trial.predecessor,
        "assignment": trial.assignment or None,
        "comparison_group": trial.comparison_group or None,
        "comparison_group_size": trial.comparison_group_size or None,
        "labels": list(trial.labels.items()),
        "passes": protocol.passes,
        "item_repeats": protocol.item_repeats,
        "weights_source": protocol.model.weights_source,
    }


def _failed(failure: Failure) -> dict[str, Any]:
    return {
        "status": "failed",
        "reason": failure.reason,
        "message": failure.message,
        "stderr_tail": failure.stderr_tail,
        "energy_reason": "the trial failed",
        "quality_reason": "the trial failed",
        "flags": [],
    }


def _measured(trial: Trial, measured: Measurement) -> dict[str, Any]:
    work, memory, window = measured.work, measured.memory, measured.phase("window")
    scope = choose_scope(measured.energies, phase="window")
    added = (
        None
        if memory.peak_rss_bytes is None or memory.base_rss_bytes is None
        else memory.peak_rss_bytes - memory.base_rss_bytes
    )
    p50, p90, p99 = _percentiles_s(work.latencies_ns)
    row = asdict(memory) | {
        "status": "ok",
        "flags": list(measured.flags),
        "window_s": window.seconds,
        "work_s": work.work_ns / 1e9,
        "items": work.items,
        "tokens": work.tokens,
        "padded_tokens": work.padded_tokens,
        "threads": work.threads,
        "energy_j": scope.joules,
        "energy_scope": scope.scope,
        "energy_package_j": _joules(measured.energies, "window", replace(scope, scope="package")),
        "energy_source": scope.source,
        "energy_provenance": scope.provenance,
        "power_limits": [asdict(limit) for limit in measured.power_limits],
        "energy_reason": scope.reason,
        "energy_modelled_j": _modelled_joules(measured.energies),
        "modelled_formula": measured.modelled_formula,
        "modelled_parameters": list(measured.modelled_parameters.items()),
        "baseline_s": measured.phase("baseline").seconds,
        "baseline_j": _joules(measured.energies, "baseline", scope),
        "cpu_percent": None if measured.cpu_s is None else 100 * measured.cpu_s / window.seconds,
        "cpu_seconds": measured.cpu_s,
        "observer_cpu_s": measured.observer_cpu_s,
        "foreign_cpu_s": measured.foreign_cpu_s,
        "steal_s": measured.steal_s,
        "work_peak_bytes": added,
        "latency_p50_s": p50,
        "latency_p90_s": p90,
        "latency_p99_s": p99,
        "load_s": measured.phase("load").seconds,
        "load_energy_j": _joules(measured.energies, "load", scope),
        "log_bytes": work.log_bytes,
        "nice": work.nice,
        "cpus": list(work.cpus),
        "oom_score_adj": work.oom_score_adj,
        "omp_num_threads": work.omp_num_threads,
        "privileges": work.privileges,
        "weights_digest": work.weights_digest,
        "parameters": work.parameters,
        "model_class": work.model_class,
        "attention": work.attention,
        "blas": work.blas,
        "quality": measured.quality,
        "quality_metric": measured.quality_metric,
        "quality_reason": measured.quality_reason,
        "phases": [
            {
                "phase": phase.name,
                "start_ns": phase.start_ns,
                "end_ns": phase.end_ns,
                "seconds": phase.seconds,
                "cpu_s": phase.cpu_s,
                "machine_cpu_s": phase.machine_cpu_s,
            }
            for phase in measured.phases
        ],
        "energies": [asdict(energy) for energy in measured.energies],
        "latencies_ns": array("q", thinned(work.latencies_ns)),
        "readings": [_readings(series) for series in measured.readings],
    }
    return row | _surroundings(measured.surroundings)


def _surroundings(around: Surroundings) -> dict[str, Any]:
    found = asdict(around)
    # The environment's frequency_min_mhz is the limit in force, this one was seen.
    return found | {"frequency_min_mhz_seen": found.pop("frequency_min_mhz")}


def _joules(energies: Sequence[Energy], phase: str, scope: PrimaryEnergy) -> float | None:
    for energy in energies:
        if (energy.phase, energy.domain, energy.provenance) == (phase, scope.scope, scope.provenance):
            return energy.joules
    return None


def _modelled_joules(energies: Sequence[Energy]) -> float | None:
    for energy in energies:
        if (energy.phase, energy.provenance) == ("window", "modelled"):
            return energy.joules
    return None


def _readings(series: Readings) -> dict[str, Any]:
    channel = series.channel
    return {
        "channel": channel.name,
        "unit": channel.unit,
        "kind": channel.kind,
        "source": channel.source,
        "t_ns": array("q", series.t_ns),
        "value": _nulls(series.value),
    }


def _nulls(values: Sequence[float]) -> Sequence[float | None]:
    return [None if isnan(value) else value for value in values] if any(map(isnan, values)) else array("d", values)


def _percentiles_s(latencies_ns: Sequence[int]) -> tuple[float | None, float | None, float | None]:
    """Median, 90th and 99th percentile, seconds; linear between the values around them."""
    if not latencies_ns:
        return None, None, None
    if len(latencies_ns) == 1:
        only = latencies_ns[0] / 1e9
        return only, only, only
    cuts = quantiles(latencies_ns, n=100, method="inclusive")
    return cuts[49] / 1e9, cuts[89] / 1e9, cuts[98] / 1e9
