"""The trials that are compared with each other: one protocol of each arm in one setting."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from statistics import median
from typing import Any, Literal

from joulefleet.compare.contrasts import COLUMN, EQUAL_WORK, By, Contrast, Level
from joulefleet.compare.metrics import TrialValues
from joulefleet.compare.results import Setting
from joulefleet.plan.expand import cells
from joulefleet.query.progress import study_in
from joulefleet.store.records import StudyRecord

_BlockKey = tuple[int, int]
"""(block, round): trials of two rounds of a block were hours apart, and are no pair."""

_SETTING = tuple(field.name for field in fields(Setting) if field.name != "study")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """The ok trials of a match, sorted by what can be compared within blocks."""

    pairs: tuple[tuple[TrialValues, TrialValues], ...]
    """Reference and other of each block that has both, with equal work. Empty without blocks."""
    reference: tuple[TrialValues, ...]
    """All ok trials of the reference."""
    other: tuple[TrialValues, ...]
    unpaired: int
    """Blocks with an ok trial of one arm alone."""
    unequal: int
    """Blocks whose two trials did different work."""
    other_libraries: int
    """Blocks whose two environments had different libraries."""
    excluded: tuple[tuple[TrialValues, TrialValues], ...]
    """Blocks that the study leaves out for their flags; empty without blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The trials of a contrast in one setting on one machine, of one protocol of each arm.

    `matches` makes them; every estimate, check and caveat of the setting is computed from its match, so
    trials that differ in anything else never meet. One of the arms may be empty, not both.
    """

    contrast: Contrast
    setting: Setting
    reference: Sequence[TrialValues]
    other: Sequence[TrialValues]
    paired: bool
    """Whether the two arms are compared within blocks."""
    blocks: Blocks

    @property
    def first(self) -> TrialValues:
        """Any trial of the match, for what all have in common."""
        return (self.reference or self.other)[0]

    @property
    def began(self) -> datetime:
        """Time at which its first trial started; the year 1 where that is unknown."""
        return self.first.started_at or datetime.min.replace(tzinfo=UTC)


def by_level(trials: Sequence[TrialValues], by: By) -> Mapping[Level, Sequence[TrialValues]]:
    """Return the trials of each level of the factor `by`."""
    levels: dict[Level, list[TrialValues]] = defaultdict(list)
    for trial in trials:
        levels[getattr(trial, COLUMN[by])].append(trial)
    return levels


def matches(
    record: StudyRecord,
    contrast: Contrast,
    levels: Mapping[Level, Sequence[TrialValues]],
    *,
    exclude_flags: Collection[str] = (),
) -> Iterator[Match]:
    """Yield every match of `contrast`: settings in the order in which the study names machines, models and tasks.

    `levels` are the study's trials, see `by_level`. Blocks with one of `exclude_flags` on either trial are
    set apart. Raises StoreError where the record's study is not of this version.
    """
    names = [name for name in _SETTING if name != COLUMN[contrast.by]]
    models = record.definition["models"]
    arms: dict[tuple[Any, ...], tuple[list[TrialValues], list[TrialValues]]] = defaultdict(lambda: ([], []))
    for arm, level in enumerate((contrast.reference, contrast.other)):
        for trial in levels.get(level, ()):
            if contrast.by == "model" or trial.model in models:
                arms[tuple([getattr(trial, name) for name in names])][arm].append(trial)
    by_setting = {
        Setting(study=record.name, **dict(zip(names, values, strict=True))): trials for values, trials in arms.items()
    }
    tasks, machines = list(record.definition["tasks"]), [machine_id for machine_id, _ in record.machines]
    shared_tasks = _shared_tasks(record, contrast)
    for setting in sorted(by_setting, key=lambda setting: _order(setting, tasks, machines, list(models))):
        if not all(by_setting[setting]) and shared_tasks is not None and setting.task not in shared_tasks:
            continue  # a proof runs on some tasks only
        for reference, other in _by_protocol_pairs(contrast, *by_setting[setting]):
            paired = contrast.paired and record.imported_from is None
            if paired:
                blocks = _blocks(contrast, reference, other, frozenset(exclude_flags))
            else:
                blocks = _without_blocks(reference, other)
            yield Match(
                contrast=contrast, setting=setting, reference=reference, other=other, paired=paired, blocks=blocks
            )


def newest_by(
    field: Literal["machine_id", "model"], candidates: Iterable[Match]
) -> dict[tuple[str, Setting], dict[str, Match]]:
    """Return the matches with both arms by contrast and setting without `field`, then by the value of `field`.

    Of several protocols that differ in nothing else, the one that began last is taken.
    """
    settings: dict[tuple[str, Setting], dict[str, Match]] = defaultdict(dict)
    for match in candidates:
        if match.reference and match.other:
            rest = replace(match.setting, **{field: None})  # type: ignore[arg-type]  # both may be None
            newest, value = settings[match.contrast.name, rest], str(getattr(match.setting, field))
            if value not in newest or newest[value].began < match.began:
                newest[value] = match
    return settings


def _shared_tasks(record: StudyRecord, contrast: Contrast) -> set[str] | None:
    """Return the tasks that both models do; None where other factors are compared, or nothing was planned."""
    if contrast.by != "model" or record.imported_from is not None:
        return None
    planned = cells(study_in(record))
    first, second = (
        {cell.task for cell in planned if cell.model == model} for model in (contrast.reference, contrast.other)
    )
    return first & second


def _order(
    setting: Setting, tasks: Sequence[str], machines: Sequence[str], models: Sequence[str]
) -> tuple[object, ...]:
    def position(name: str, names: Sequence[str]) -> tuple[int, str]:
        return (names.index(name), name) if name in names else (len(names), name)

    return (
        position(str(setting.machine_id), machines),
        str(setting.environment),
        setting.batch_size or 0,
        setting.threads_requested or 0,
        *map(str, (setting.dtype, setting.regime, setting.weights_source, setting.imported_levels)),
        position(str(setting.model), models),
        position(str(setting.task), tasks),
    )


def _by_protocol_pairs(
    contrast: Contrast, reference: Sequence[TrialValues], other: Sequence[TrialValues]
) -> Iterator[tuple[Sequence[TrialValues], Sequence[TrialValues]]]:
    """Yield each protocol of the other arm with that of the reference which did equal work nearest in time.

    A protocol without a partner is yielded with an empty arm, so that no trial is dropped.
    """
    references, others = _by_protocol(reference), _by_protocol(other)
    used = set()
    for trials in others.values():
        work = _work(contrast, trials)
        equal = [name for name, candidates in references.items() if _work(contrast, candidates) == work]
        partner = equal[0] if len(equal) == 1 else None
        if len(equal) > 1:
            partner = min(equal, key=lambda name: _distance_s(references[name], trials))
        used.add(partner)
        yield references[partner] if partner is not None else (), trials
    for name, trials in references.items():
        if name not in used:
            yield trials, ()


def _by_protocol(trials: Sequence[TrialValues]) -> Mapping[str, list[TrialValues]]:
    protocols: dict[str, list[TrialValues]] = defaultdict(list)
    for trial in trials:
        protocols[str(trial.protocol)].append(trial)
    return protocols


def _work(contrast: Contrast, trials: Sequence[TrialValues]) -> tuple[str | None, int | None]:
    return trials[0].isolation, trials[0].passes if contrast.by in EQUAL_WORK else None


def _distance_s(first: Sequence[TrialValues], second: Sequence[TrialValues]) -> float:
    """Return the time between the median starts of two arms, seconds."""
    middle = [
        median(trial.started_at.timestamp() for trial in trials if trial.started_at) for trials in (first, second)
    ]
    return abs(middle[0] - middle[1])


def _blocks(
    contrast: Contrast, reference: Sequence[TrialValues], other: Sequence[TrialValues], flags: frozenset[str]
) -> Blocks:
    first, second = _ok_by_block(reference), _ok_by_block(other)
    pairs, excluded, unequal, other_libraries = [], [], 0, 0
    for key in sorted(first.keys() & second.keys()):
        one, two = first[key], second[key]
        # The plan makes work equal; what took effect on the machine may still differ.
        if contrast.by in EQUAL_WORK and (one.threads, one.items) != (two.threads, two.items):
            unequal += 1
        elif contrast.by == "environment" and one.libraries_digest != two.libraries_digest:
            other_libraries += 1
        elif flags and not flags.isdisjoint((*one.flags, *two.flags)):
            excluded.append((one, two))
        else:
            pairs.append((one, two))
    return Blocks(
        pairs=tuple(pairs),
        reference=tuple(first.values()),
        other=tuple(second.values()),
        unpaired=len({block for block, _ in first.keys() ^ second.keys()}),
        unequal=unequal,
        other_libraries=other_libraries,
        excluded=tuple(excluded),
    )


def _without_blocks(reference: Sequence[TrialValues], other: Sequence[TrialValues]) -> Blocks:
    ok = [tuple(trial for trial in arm if trial.status == "ok") for arm in (reference, other)]
    return Blocks(pairs=(), reference=ok[0], other=ok[1], unpaired=0, unequal=0, other_libraries=0, excluded=())


def _ok_by_block(trials: Sequence[TrialValues]) -> Mapping[_BlockKey, TrialValues]:
    return {
        (trial.block, trial.round or 1): trial for trial in trials if trial.status == "ok" and trial.block is not None
    }
