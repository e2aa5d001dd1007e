"""Contrasts: two levels of one factor that are compared, all else being equal."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from joulefleet.compare.metrics import TrialValues
from joulefleet.errors import QueryError, closest_or
from joulefleet.store.records import StudyRecord

By = Literal["model", "environment", "machine", "task", "batch_size", "threads", "dtype"]

COLUMN: Mapping[By, str] = {
    "model": "model",
    "environment": "environment",
    "machine": "machine_id",
    "task": "task",
    "batch_size": "batch_size",
    "threads": "threads_requested",
    "dtype": "dtype",
}
"""The column of `trials`, and field of a setting, that holds the factor's level."""

Level = str | int

PROOFS = ("a_a", "twice")
"""The kinds of comparison whose true ratio is known."""

WITHIN_BLOCKS: frozenset[By] = frozenset({"environment", "task", "batch_size", "threads", "dtype"})
"""The factors besides the model all of whose levels stand in each block."""

EQUAL_WORK: frozenset[By] = frozenset({"model", "environment"})
"""The factors whose levels all do the same passes over the same items; levels of others are compared by item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """Two levels of one factor that are compared throughout a study: the ratio is other / reference.

    `model_contrasts` and `level_contrasts` make them; `joulefleet.compare.matching.matches` finds the trials of each.
    """

    by: By
    name: str
    """Name of the pair; of another factor than the model, both levels."""
    kind: str
    """distillation, a_a or twice of models; level of other factors."""
    reference: Level
    """The teacher, where models are compared."""
    other: Level
    reference_name: str
    """The level for people: the name of a machine, not its id."""
    other_name: str
    expected_ratio: float | None
    """True ratio of the work per item; None except for the proofs."""

    @property
    def paired(self) -> bool:
        """Whether both levels stand in each block; machines have blocks of their own."""
        return self.by != "machine"


def model_contrasts(record: StudyRecord) -> list[Contrast]:
    """Return the pairs and proofs of the study."""
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
    """Return every other level of `by` against `reference`, by default the first in the study's own order.

    A machine may be named by its id or by its name. Raises QueryError where no trial has that level, or
    several machines have that name.
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


def parse_factor(by: str) -> By:
    """Return `by` as a factor. Raises QueryError where it is none."""
    for factor in get_args(By):
        if by == factor:
            known: By = factor
            return known
    raise QueryError(f"There is no factor {by!r} to compare by.", cure=f"Name one of {', '.join(get_args(By))}.")


def require_known(what: str, requested: Collection[str] | None, known: Sequence[str]) -> None:
    """Raise QueryError where one of the `requested` names is not `known`; the cure has the nearest name, or all."""
    for name in requested or ():
        if name not in known:
            names = f"There are {', '.join(dict.fromkeys(known))}." if known else "There is none."
            raise QueryError(f"There is no {what} called {name!r}.", cure=closest_or(name, known, names))


def _levels(record: StudyRecord, trials: Sequence[TrialValues], by: By) -> dict[Level, str]:
    """Return the levels that trials have, with their names, in the order of the study."""
    names: dict[Level, str] = {}
    for trial in trials:
        level = getattr(trial, COLUMN[by])
        if level is not None and level not in names:
            names[level] = (trial.machine or trial.machine_id) if by == "machine" else str(level)
    order = {level: index for index, level in enumerate(_stated_levels(record, by))}
    return dict(sorted(names.items(), key=lambda item: (order.get(item[0], len(order)), item[1])))


def _stated_levels(record: StudyRecord, by: By) -> Sequence[Level]:
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


def _level(names: Mapping[Level, str], by: By, requested: str) -> Level:
    fitting = [level for level, name in names.items() if requested in (str(level), name)]
    if len(fitting) != 1:
        known = ", ".join(f"{name} ({level})" if by == "machine" else name for level, name in names.items())
        many = f"{len(fitting)} machines are called {requested}."
        raise QueryError(many if fitting else f"No trial has the {by} {requested!r}.", cure=f"Name one of {known}.")
    return fitting[0]
