"""Factors of imported trials: the labels that are factors, and whether costs are by item or by run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from joulefleet.compare.metrics import TrialValues
from joulefleet.store.records import StudyRecord

_OF_THE_IMPORT = frozenset({"folder", "run"})
"""Labels that the import itself adds: where a trial came from."""

TRIALS_A_LEVEL = 2
"""Trials that a model needs at each level of a factor: with one at each level, the label only numbers the runs."""


def settle_factors(trials: Sequence[TrialValues], record: StudyRecord) -> list[TrialValues]:
    """Return the trials of an imported study with their factors set, and items only where all trials have them.

    Where an ok trial has no number of items all count as runs, so that joules per item are never compared with
    joules per run. A label is a factor where both models of each pair have several trials at each of its
    levels; trials that differ in other labels are pooled, see `pooled_labels`.
    """
    known = all(trial.items for trial in trials if trial.status == "ok")
    factors = _factors(trials, record)
    return [
        trial._replace(
            items=trial.items if known else None,
            imported_levels=", ".join(sorted(f"{key} {value}" for key, value in _labels(trial) if key in factors))
            or None,
        )
        for trial in trials
    ]


def pooled_labels(trials: Sequence[TrialValues], record: StudyRecord) -> list[str]:
    """Return the labels that differ within an arm and are no factors, by name: trials are pooled over them."""
    levels: dict[tuple[str, str], set[str]] = {}
    for trial in trials:
        for key, value in _labels(trial):
            levels.setdefault((trial.model, key), set()).add(value)
    factors = _factors(trials, record)
    return sorted({key for (_, key), values in levels.items() if len(values) > 1} - factors)


def _factors(trials: Sequence[TrialValues], record: StudyRecord) -> set[str]:
    counts = Counter((trial.model, key, value) for trial in trials for key, value in _labels(trial))
    levels: dict[tuple[str, str], set[str]] = {}
    alone: set[tuple[str, str]] = set()
    for (model, key, value), count in counts.items():
        levels.setdefault((model, key), set()).add(value)
        if count < TRIALS_A_LEVEL:
            alone.add((model, key))
    return {
        key
        for key in {key for _, key, _ in counts}
        if all(
            levels.get((pair.teacher, key)) == levels.get((pair.student, key))
            and alone.isdisjoint({(pair.teacher, key), (pair.student, key)})
            for pair in record.comparands
        )
    }


def _labels(trial: TrialValues) -> list[tuple[str, str]]:
    return [
        (label["key"], label["value"]) for label in trial.imported_labels or () if label["key"] not in _OF_THE_IMPORT
    ]
