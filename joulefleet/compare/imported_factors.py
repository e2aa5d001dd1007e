"""What other tools' trials have in common, so that only like is compared with like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from joulefleet.compare.metrics import TrialValues
from joulefleet.store.records import StudyRecord

_OF_THE_IMPORT = frozenset({"folder", "run"})
"""Labels that say where a trial came from."""

TRIALS_A_LEVEL = 2
"""With one trial at each of its levels a label numbers the runs, and is no factor."""


def alike(trials: Sequence[TrialValues], record: StudyRecord) -> list[TrialValues]:
    """The trials of an imported study with what they share settled for all of them.

    Without the items of every trial each counts as a run: joules an item beside joules a run would be
    compared otherwise. A label is a factor where both models of each pair have several trials at each of
    its levels; all others are pooled over, see `pooled_labels`.
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
    """The labels that differ within an arm and are no factors: what is compared pools over them."""
    values: dict[tuple[str, str], set[str]] = {}
    for trial in trials:
        for key, value in _labels(trial):
            values.setdefault((trial.model, key), set()).add(value)
    factors = _factors(trials, record)
    return sorted({key for (_, key), found in values.items() if len(found) > 1} - factors)


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
