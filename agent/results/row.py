"""An attempt's row: trial, machine, environment and outcome in the columns of `joulefleet.schema`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from joulefleet.machine import Environment, Machine
from joulefleet.measurement import Energy, Failure, Measurement, Outcome, PrimaryEnergy
from joulefleet.plan.trial import Trial, cell_columns
from joulefleet.schema import columns_of, complete_row


def attempt_row(
    trial: Trial,
    outcome: Outcome,
    *,
    machine: Machine,
    environment: Environment | None,
    boot_id: str | None,
    sysfs_root: Path | None,
) -> dict[str, Any]:
    """Return the row of an attempt at `trial`; null where the outcome or the machine has no value.

    `environment` and `sysfs_root` are None where nobody could read them: the agent or the runner was lost.
    """
    row = trial_columns(trial) | columns_of(machine) | {"machine": machine.name}
    if environment is not None:
        row |= columns_of(environment) | {"environment_id": environment.environment_id}
    row |= {
        "boot_id": boot_id,
        "sysfs_root": None if sysfs_root is None else str(sysfs_root),
        "started_at": datetime.fromtimestamp(outcome.started_at_ns / 1e9, tz=UTC),
        "wall_s": outcome.wall_s,
    }
    return complete_row(row | (_failed(outcome) if isinstance(outcome, Failure) else _measured(outcome)))


def trial_columns(trial: Trial) -> dict[str, Any]:
    """Return the columns that are known before the attempt begins."""
    cell, protocol = trial.cell, trial.protocol
    return {
        "study": trial.study,
        "trial_id": trial.trial_id,
        "attempt_id": trial.attempt_id,
        "kind": trial.kind,
        "attempt": trial.attempt,
        "round": trial.round,
        "place": trial.place,
        "protocol": protocol.digest,
        **cell_columns(cell),
        "regime": protocol.regime,
        "isolation": protocol.isolation,
        "repetition": trial.block,
        "block": trial.block,
        "position": trial.position,
        "predecessor": trial.predecessor,
        "assignment": trial.assignment or None,
        "comparison_group": trial.comparison_group or None,
        "comparison_group_size": trial.comparison_group_size or None,
        "labels": trial.labels,
        "passes": protocol.passes,
        "item_repeats": protocol.item_repeats,
        "weights_source": protocol.model.weights_source,
    }


def _failed(failure: Failure) -> dict[str, Any]:
    return columns_of(failure) | {
        "status": "failed",
        "energy_reason": "the trial failed",
        "quality_reason": "the trial failed",
        "flags": [],
    }


def _measured(measured: Measurement) -> dict[str, Any]:
    memory, window, primary = measured.memory, measured.phase("window"), measured.primary
    row = columns_of(measured)
    for record in (measured.work, memory, measured.conditions):
        row |= columns_of(record)
    added = (
        None
        if memory.peak_rss_bytes is None or memory.base_rss_bytes is None
        else memory.peak_rss_bytes - memory.base_rss_bytes
    )
    return row | {
        "status": "ok",
        "window_s": window.seconds,
        "work_s": measured.work.work_ns / 1e9,
        "energy_j": primary.joules,
        "energy_scope": primary.scope,
        "energy_package_j": _joules(measured.energies, "window", replace(primary, scope="package")),
        "energy_source": primary.source,
        "energy_provenance": primary.provenance,
        "energy_reason": primary.reason,
        "energy_modelled_j": _modelled_joules(measured.energies),
        "baseline_s": measured.phase("baseline").seconds,
        "baseline_j": _joules(measured.energies, "baseline", primary),
        "cpu_percent": None if window.cpu_s is None else 100 * window.cpu_s / window.seconds,
        "cpu_seconds": window.cpu_s,
        "work_peak_bytes": added,
        "load_s": measured.phase("load").seconds,
        "load_energy_j": _joules(measured.energies, "load", primary),
    }


def _joules(energies: Sequence[Energy], phase: str, primary: PrimaryEnergy) -> float | None:
    key = (phase, primary.scope, primary.provenance)
    return next((e.joules for e in energies if (e.phase, e.domain, e.provenance) == key), None)


def _modelled_joules(energies: Sequence[Energy]) -> float | None:
    return next((e.joules for e in energies if (e.phase, e.provenance) == ("window", "modelled")), None)
