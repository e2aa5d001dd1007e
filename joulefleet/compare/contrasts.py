"""What is compared with what: two levels of one factor, with all else equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from joulefleet.compare.metrics import TrialValues
from joulefleet.errors import QueryError
from joulefleet.store.records import StudyRecord

By = Literal["model", "environment", "machine", "task", "batch_size", "threads", "dtype"]

COLUMN: Mapping[By, str] = {
    "model": "model",
    "environment": "environment",
    "machine": "machine_id",
    "task": "task",
    "batch_size": "batch_size",
    "threads": "threads_asked",
    "dtype": "dtype",
}
"""The column of `trials` that holds the factor's level."""

Level = str | int

PROOFS = ("a_a", "twice")
"""The kinds of comparison whose true ratio is known."""

WITHIN_BLOCKS: frozenset[By] = frozenset({"environment", "task", "batch_size", "threads", "dtype"})
"""Beside the model: the factors all of whose levels stand in each block."""

EQUAL_WORK: frozenset[By] = frozenset({"model", "environment"})
"""Of these both arms do the same passes over the same items; of the others an item is what is compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """Two levels of one factor."""

    by: By
    name: str
    """The pair's, or both levels'."""
    kind: str
    """distillation, a_a or twice; level where not models are compared."""
    reference: Level
    """The teacher, where models are."""
    other: Level
    reference_name: str
    """For people: machines have names beside their ids."""
    other_name: str
    expected_ratio: float | None
    """Of work an item: known for the proofs alone."""

    @property
    def paired(self) -> bool:
        """Whether both levels stand in each block: a machine has blocks of its own."""
        return self.by != "machine"


def model_contrasts(record: StudyRecord) -> list[Contrast]:
    """The study's pairs and proofs."""
    return [
        Contrast(
            by="model",
            name=comparand.name,
            kind=comparand.kind,
            reference=comparand.teacher,
            other=comparand.student,
            reference_name=comparand.teacher,
            other_name=comparand.student,
            expected_ratio=comparand.expected_ratio,
        )
        for comparand in record.comparands
    ]


def level_contrasts(
    record: StudyRecord, trials: Sequence[TrialValues], by: By, reference: str | None = None
) -> list[Contrast]:
    """Every other level of `by` against `reference`, by default the first in the study's own order.

    A machine may be named by its id or by its name. Raises QueryError where no trial has that level.
    """
    names = _levels(record, trials, by)
    if len(names) < 2 and reference is None:
        return []
    first = next(iter(names)) if reference is None else _level(names, by, reference)
    return [
        Contrast(
            by=by,
            name=f"{name} / {names[first]}",
            kind="level",
            reference=first,
            other=level,
            reference_name=names[first],
            other_name=name,
            expected_ratio=None,
        )
        for level, name in names.items()
        if level != first
    ]


def checked_by(by: str) -> By:
    """`by` as a factor. Raises QueryError."""
    for known in get_args(By):
        if by == known:
            found: By = known
            return found
    raise QueryError(f"Nothing is compared by {by!r}.", cure=f"Name one of {', '.join(get_args(By))}.")


def _levels(record: StudyRecord, trials: Sequence[TrialValues], by: By) -> dict[Level, str]:
    """The levels that trials have, with their names, in the order of the study."""
    found: dict[Level, str] = {}
    for trial in trials:
        level = getattr(trial, COLUMN[by])
        if level is not None and level not in found:
            found[level] = (trial.machine or trial.machine_id) if by == "machine" else str(level)
    order = {level: place for place, level in enumerate(_order(record, by))}
    return dict(sorted(found.items(), key=lambda item: (order.get(item[0], len(order)), item[1])))


def _order(record: StudyRecord, by: By) -> Sequence[Level]:
    definition: Mapping[str, Any] = record.definition
    match by:
        case "machine":
            return [machine_id for machine_id, _ in record.machines]
        case "environment":
            return list(definition.get("environments") or ())
        case "task":
            return list(definition["tasks"])
        case _:
            return list((definition.get("factors") or {}).get(by) or ())


def _level(names: Mapping[Level, str], by: By, asked: str) -> Level:
    fitting = [level for level, name in names.items() if asked in (str(level), name)]
    if len(fitting) != 1:
        problem = f"No trial has the {by} {asked!r}." if not fitting else f"{len(fitting)} machines are called {asked}."
        known = ", ".join(f"{name} ({level})" if by == "machine" else name for level, name in names.items())
        raise QueryError(problem, cure=f"Name one of {known}.")
    return fitting[0]
