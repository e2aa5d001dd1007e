"""Which trials are compared with which: one protocol of each arm in one setting."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from joulefleet.analysis.comparison import Setting
from joulefleet.analysis.metrics import TrialValues
from joulefleet.analysis.progress import understood
from joulefleet.analysis.study_records import ComparandRecord, StudyRecord
from joulefleet.errors import QueryError
from joulefleet.plan import cells

_BlockKey = tuple[int, int]
"""(block, round): trials of two rounds of a block were hours apart, and are no pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The trials of one line: one protocol of each arm in one setting. An arm may be empty."""

    setting: Setting
    teacher: Sequence[TrialValues]
    student: Sequence[TrialValues]

    @property
    def first(self) -> TrialValues:
        """Some trial of it."""
        return (*self.teacher, *self.student)[0]

    def blocks(self) -> Blocks:
        """Its ok trials by block."""
        teacher, student = _ok_by_block(self.teacher), _ok_by_block(self.student)
        both = [(teacher[key], student[key]) for key in sorted(teacher.keys() & student.keys())]
        pairs = tuple((first, second) for first, second in both if _equal_work(first, second))
        return Blocks(
            pairs=pairs,
            teacher=tuple(teacher.values()),
            student=tuple(student.values()),
            unpaired=len({block for block, _ in teacher.keys() ^ student.keys()}),
            unequal=len(both) - len(pairs),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """What the blocks of a match hold."""

    pairs: tuple[tuple[TrialValues, TrialValues], ...]
    """Teacher and student of each block that has both, ok and of equal work."""
    teacher: tuple[TrialValues, ...]
    student: tuple[TrialValues, ...]
    unpaired: int
    """Blocks with an ok trial of one arm alone."""
    unequal: int
    """Blocks whose two trials did different work."""


def matches(record: StudyRecord, comparand: ComparandRecord, trials: Sequence[TrialValues]) -> Iterator[Match]:
    """Every match of one pair: settings in the order in which the study names machines and tasks."""
    settings: dict[Setting, tuple[list[TrialValues], list[TrialValues]]] = defaultdict(lambda: ([], []))
    for trial in trials:
        if trial.model in (comparand.teacher, comparand.student):
            settings[_setting(record.name, trial)][trial.model == comparand.student].append(trial)
    tasks = list(record.definition["tasks"])
    both = _tasks_of(record, comparand.teacher) & _tasks_of(record, comparand.student)
    machines = [machine_id for machine_id, _ in record.machines]
    for setting in sorted(settings, key=lambda setting: _order(setting, tasks, machines)):
        if not all(settings[setting]) and setting.task not in both:
            continue  # a proof runs on some tasks only
        yield from _matches(setting, *settings[setting])


def _tasks_of(record: StudyRecord, model: str) -> set[str]:
    return {cell.task for cell in cells(understood(record)) if cell.model == model}


def _setting(study: str, trial: TrialValues) -> Setting:
    return Setting(
        study=study,
        machine_id=trial.machine_id,
        task=trial.task,
        batch_size=trial.batch_size,
        threads_asked=trial.threads_asked,
        dtype=trial.dtype,
        environment=trial.environment,
        regime=trial.regime,
        weights_source=trial.weights_source,
    )


def _order(setting: Setting, tasks: Sequence[str], machines: Sequence[str]) -> tuple[object, ...]:
    def place(name: str, names: Sequence[str]) -> tuple[int, str]:
        return (names.index(name), name) if name in names else (len(names), name)

    return (
        place(str(setting.machine_id), machines),
        place(setting.task, tasks),
        str(setting.environment),
        setting.batch_size or 0,
        setting.threads_asked or 0,
        *map(str, (setting.dtype, setting.regime, setting.weights_source)),
    )


def _matches(setting: Setting, teacher: Sequence[TrialValues], student: Sequence[TrialValues]) -> Iterator[Match]:
    """One match for each protocol of the student, with the teacher's protocol that did equal work nearest in time.

    Protocols left over, and arms without the other, stand alone: nothing is dropped in silence.
    """
    teachers, students = _by_protocol(teacher), _by_protocol(student)
    used = set()
    for trials in students.values():
        equal = [name for name, others in teachers.items() if _work(others) == _work(trials)]
        partner = min(equal, key=lambda name: _distance_s(teachers[name], trials), default=None)
        used.add(partner)
        yield Match(setting=setting, teacher=teachers[partner] if partner else (), student=trials)
    for name, trials in teachers.items():
        if name not in used:
            yield Match(setting=setting, teacher=trials, student=())


def _by_protocol(trials: Sequence[TrialValues]) -> Mapping[str, list[TrialValues]]:
    protocols: dict[str, list[TrialValues]] = defaultdict(list)
    for trial in trials:
        protocols[str(trial.protocol)].append(trial)
    return protocols


def _work(trials: Sequence[TrialValues]) -> tuple[str | None, int | None]:
    return trials[0].isolation, trials[0].passes


def _distance_s(first: Sequence[TrialValues], second: Sequence[TrialValues]) -> float:
    """Distance in time between the middles of two arms, seconds."""
    middle = [median(trial.started_at.timestamp() for trial in trials) for trials in (first, second)]
    return abs(middle[0] - middle[1])


def _ok_by_block(trials: Sequence[TrialValues]) -> Mapping[_BlockKey, TrialValues]:
    return {
        (trial.block, trial.round or 1): trial for trial in trials if trial.status == "ok" and trial.block is not None
    }


def _equal_work(teacher: TrialValues, student: TrialValues) -> bool:
    # The plan makes work equal; what took effect on the machine may still differ.
    return (teacher.threads, teacher.items) == (student.threads, student.items)


def checked(what: str, asked: Collection[str] | None, known: Sequence[str]) -> None:
    """Raise QueryError where one of `asked` is not `known`, with the nearest or all names as its cure."""
    for name in asked or ():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            names = f"There are {', '.join(dict.fromkeys(known))}." if known else "There is none."
            raise QueryError(
                f"There is no {what} called {name!r}.", cure=f"Did you mean {close[0]}?" if close else names
            )
