"""What the columns of views and macros mean that are no columns of an attempt's row, or mean something else there.

All others are those of `joulefleet.schema.COLUMNS`, with their unit and meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from joulefleet.schema import COLUMNS


class Meaning(NamedTuple):
    """A column's unit (empty where it has none) and meaning."""

    unit: str
    meaning: str


_OF_ROWS: Mapping[str, Meaning] = {column.name: Meaning(column.unit, column.meaning) for column in COLUMNS}

_WHO_IS_COMPARED = {
    "pair": Meaning("", "Name of the pair, or of the proof's second arm."),
    "kind": Meaning("", "distillation; or a proof: a_a (the same model again) or twice (twice the work)."),
    "teacher": Meaning("", "The model that the other is compared with."),
    "student": Meaning("", "The model that is compared; of a proof, its second arm."),
}

_OWN: Mapping[str, Mapping[str, Meaning]] = {
    "trials": {
        "libraries_digest": Meaning("", "Digest of the versions in libraries: equal ones, equal versions."),
        "items_per_s": Meaning("items/s", "items / window_s."),
        "tokens_per_s": Meaning("tokens/s", "tokens / window_s."),
        "energy_net_j": Meaning("J", "energy_j less what the machine draws when idle: baseline_w × window_s."),
        "j_per_item": Meaning("J/item", "energy_j / items."),
        "j_per_token": Meaning("J/token", "energy_j / tokens."),
        "baseline_w": Meaning(
            "W", "Idle power: the baselines of the ok trials of the same machine, block and round, pooled."
        ),
    },
    "pairs": _WHO_IS_COMPARED
    | {"expected_ratio": Meaning("", "The true ratio of work an item; known of proofs alone.")},
    "energy": {
        "phase": Meaning("", "baseline, startup, items, load, warm_up, window, teardown or cool_down."),
        "domain": Meaning("", "package or package+dram: the sum of all; else the one counter, such as package-0/dram."),
        "source": Meaning("", "The sensor, or modelled."),
        "provenance": Meaning("", "measured, simulated or modelled."),
        "joules": Meaning("J", "Energy of the phase in the domain; null with reason."),
        "valid": Meaning("", "Whether there are joules."),
        "reason": Meaning("", "Why there are none."),
    },
    "readings": {
        "channel": Meaning("", "What was read, such as work_cpu_s or package-0."),
        "unit": Meaning("", "Unit of value."),
        "source": Meaning("", "The sensor."),
        "t_ns": Meaning("ns", "When: CLOCK_MONOTONIC of the machine's boot."),
        "value": Meaning("", "What was read, in unit; a counter's running total. Null where it could not be read."),
    },
    "latencies": {
        "batch": Meaning("", "Number of the batch in the window, from 1; of those kept, above 20,000."),
        "latency_s": Meaning("s", "Duration of the batch."),
    },
    "machines": {
        "attempts": Meaning("", "Attempts on the machine, pilots among them."),
        "first_seen": Meaning("", "Start of its first attempt."),
        "last_seen": Meaning("", "Start of its newest attempt."),
    },
    "environments": {
        "machines": Meaning("", "On how many machines it was found."),
        "attempts": Meaning("", "Attempts in it, pilots among them."),
    },
    "studies": {
        "digest": Meaning("", "Digest of this version of the study."),
        "asked_at": Meaning("", "When it was first asked."),
        "description": Meaning("", "The study's own words."),
        "seed": Meaning("", "Of the order."),
        "repetitions": Meaning("", "Blocks."),
        "models": Meaning("", "Names of the models, in the study's order."),
        "tasks": Meaning("", "Names of the tasks, in the study's order."),
        "machines": Meaning("", "Of whom it was asked."),
        "definition": Meaning("", "The whole study as JSON."),
    },
    "verdicts": {
        "verdict": Meaning("", "What was judged."),
        "reason": Meaning("", "Why."),
        "decided_at": Meaning("", "When."),
    },
    "paired_log_ratios": _WHO_IS_COMPARED
    | {
        "metric": Meaning("", "energy, energy_package, energy_modelled, time, cpu_time, cpu_use or memory."),
        "unit": Meaning("", "Unit of teacher_value and student_value."),
        "basis": Meaning("", "Where both values' joules come from; null of metrics without joules."),
        "teacher_trial_id": Meaning("", "Identity of the teacher's trial."),
        "student_trial_id": Meaning("", "Identity of the student's trial."),
        "teacher_value": Meaning("", "The metric in the teacher's trial, in unit."),
        "student_value": Meaning("", "The metric in the student's trial, in unit."),
        "log_ratio": Meaning("", "ln(student_value / teacher_value); null unless both are above 0."),
    },
    "pareto_front": {
        "trials": Meaning("", "Accepted ok trials that the means are of."),
        "j_per_item": Meaning("J/item", "Mean joules an item; null where energy does not count in the setting."),
        "energy_basis": Meaning("", "Where the joules come from; null where energy does not count."),
        "s_per_item": Meaning("s/item", "Mean window time an item."),
        "quality": Meaning("", "Mean quality; null where quality does not count in the setting."),
        "quality_metric": Meaning("", "accuracy or pearson; null where quality does not count."),
    },
}


def own_columns(name: str) -> frozenset[str]:
    """The columns of the view or macro `name` that are described here."""
    return frozenset(_OWN.get(name, ()))


def meaning_of(name: str, column: str) -> Meaning:
    """What `column` of the view or macro `name` means. Raises KeyError where nobody has said it."""
    return _OWN.get(name, {}).get(column) or _OF_ROWS[column]
