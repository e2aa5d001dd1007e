"""Units and meanings of the columns of views and macros that `joulefleet.schema.COLUMNS` does not define.

These are the columns that an attempt's row does not have, and those that have another meaning in a view.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from joulefleet.schema import COLUMNS


class Meaning(NamedTuple):
    """A column's unit (empty where it has none) and meaning."""

    unit: str
    meaning: str


_BY_SCHEMA: Mapping[str, Meaning] = {column.name: Meaning(column.unit, column.meaning) for column in COLUMNS}

_PAIR = {
    "pair": Meaning("", "Name of the pair, or of the second arm of a proof."),
    "kind": Meaning("", "distillation; or a proof: a_a (the same model again) or twice (twice the work)."),
    "teacher": Meaning("", "Model that the student is compared with."),
    "student": Meaning("", "Model that is compared; in a proof its second arm."),
}

_BY_VIEW: Mapping[str, Mapping[str, Meaning]] = {
    "trials": {
        "libraries_digest": Meaning("", "Digest of the versions in libraries: equal digests, equal versions."),
        "items_per_s": Meaning("items/s", "items / window_s."),
        "tokens_per_s": Meaning("tokens/s", "tokens / window_s."),
        "energy_net_j": Meaning("J", "energy_j minus the energy of the idle machine, baseline_w × window_s."),
        "j_per_item": Meaning("J/item", "energy_j / items."),
        "j_per_token": Meaning("J/token", "energy_j / tokens."),
        "baseline_w": Meaning(
            "W", "Idle power, pooled over the baselines of the ok trials of the same machine, block and round."
        ),
    },
    "pairs": _PAIR
    | {"expected_ratio": Meaning("", "True ratio of work per item, student to teacher; known for proofs only.")},
    "energy": {
        "phase": Meaning("", "baseline, startup, items, load, warm_up, window, teardown or cool_down."),
        "domain": Meaning(
            "", "package or package+dram for the sum of all counters; else one counter, such as package-0/dram."
        ),
        "source": Meaning("", "Name of the sensor, or modelled."),
        "provenance": Meaning("", "measured, simulated or modelled."),
        "joules": Meaning("J", "Energy of the phase in the domain; null with a reason."),
        "valid": Meaning("", "Whether joules is not null."),
        "reason": Meaning("", "Why joules is null."),
    },
    "readings": {
        "channel": Meaning("", "Name of the series of readings, such as work_cpu_s or package-0."),
        "unit": Meaning("", "Unit of value."),
        "source": Meaning("", "Name of the sensor."),
        "t_ns": Meaning("ns", "Time by CLOCK_MONOTONIC, which starts at the machine's boot."),
        "value": Meaning("", "Reading in unit, for a counter its running total; null where it could not be read."),
    },
    "latencies": {
        "batch": Meaning(
            "", "Number of the batch in the window, from 1; above 20,000 batches, number among those that are kept."
        ),
        "latency_s": Meaning("s", "Duration of the batch."),
    },
    "machines": {
        "attempts": Meaning("", "Attempts on the machine, pilots included."),
        "first_seen": Meaning("", "Start of its oldest attempt."),
        "last_seen": Meaning("", "Start of its newest attempt."),
    },
    "environments": {
        "machines": Meaning("", "Number of machines with this environment."),
        "attempts": Meaning("", "Attempts in this environment, pilots included."),
    },
    "studies": {
        "digest": Meaning("", "Digest of this version of the study."),
        "requested_at": Meaning("", "Time at which this version was first requested."),
        "description": Meaning("", "Description in the study."),
        "seed": Meaning("", "Seed of the random order."),
        "repetitions": Meaning("", "Number of blocks."),
        "models": Meaning("", "Names of the models, in the study's order."),
        "tasks": Meaning("", "Names of the tasks, in the study's order."),
        "machines": Meaning("", "Machines that took part."),
        "definition": Meaning("", "The whole study as JSON."),
    },
    "paired_log_ratios": _PAIR
    | {
        "metric": Meaning("", "energy, energy_package, energy_modelled, time, cpu_time, cpu_use or memory."),
        "unit": Meaning("", "Unit of teacher_value and student_value."),
        "basis": Meaning("", "Origin of the joules of both values; null for metrics without joules."),
        "teacher_trial_id": Meaning("", "Id of the teacher's trial."),
        "student_trial_id": Meaning("", "Id of the student's trial."),
        "teacher_value": Meaning("", "Value of the metric in the teacher's trial, in unit."),
        "student_value": Meaning("", "Value of the metric in the student's trial, in unit."),
        "log_ratio": Meaning("", "ln(student_value / teacher_value); null unless both are above 0."),
    },
    "pareto_front": {
        "trials": Meaning("", "Number of accepted ok trials in the means."),
        "j_per_item": Meaning("J/item", "Mean joules per item; null where energy is not compared in the setting."),
        "energy_basis": Meaning("", "Origin of the joules; null where energy is not compared."),
        "s_per_item": Meaning("s/item", "Mean window time per item."),
        "quality": Meaning("", "Mean quality; null where quality is not compared in the setting."),
        "quality_metric": Meaning("", "accuracy or pearson; null where quality is not compared."),
    },
}


def meaning_of(name: str, column: str) -> Meaning:
    """Return the meaning of `column` in the view or macro `name`. Raises KeyError where it is not defined."""
    return _BY_VIEW.get(name, {}).get(column) or _BY_SCHEMA[column]
