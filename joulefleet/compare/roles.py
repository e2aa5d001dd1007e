"""Which findings are primary, as the study stated before its data, and what is left of them after correction."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal

from joulefleet.compare.metrics import TrialValues
from joulefleet.compare.results import Family, MachineResult, PooledFinding, Within
from joulefleet.plan.expand import cells
from joulefleet.query.progress import study_in
from joulefleet.stats.equivalence import WithinMargin, equivalent, non_inferior
from joulefleet.stats.multiplicity import holm
from joulefleet.store.records import StudyRecord
from joulefleet.study.load import study_to_json
from joulefleet.study.primary import Primary, primary_digest
from joulefleet.study.spec import Study

_MarginTest = Callable[..., WithinMargin]


def family_of(
    record: StudyRecord, versions: Sequence[StudyRecord], trials: Sequence[TrialValues], alpha: float | None
) -> Family:
    """What `record` states as primary; `versions` are all of the study, oldest first."""
    stated = stated_in(record)
    if record.imported_from is not None:
        return Family(study=record.name, stated=stated, digest="", alpha=alpha or stated.alpha)
    studies = [(study_in(version), version.asked_at) for version in versions]
    digests = [primary_digest(study_to_json(study)) for study, _ in studies]
    # It may always have been stated so; a clock that was wrong at first is no change.
    changes = [place for place in range(1, len(digests)) if digests[place] != digests[place - 1]]
    since = studies[changes[-1]][1] if changes else None
    return Family(
        study=record.name,
        stated=stated,
        digest=digests[-1],
        changed_after=sum(trial.started_at < since for trial in trials if trial.started_at) if since else 0,
        extended_after=_extended(studies, trials),
        alpha=stated.alpha if alpha is None else alpha,
    )


def stated_in(record: StudyRecord) -> Primary:
    """The statement in `record`; the default one where other tools' data have none."""
    return Primary() if record.imported_from is not None else study_in(record).primary


def _extended(studies: Sequence[tuple[Study, datetime]], trials: Sequence[TrialValues]) -> int | None:
    """The number of blocks that some machine had finished when more were asked for; None where none had.

    Who looks at a p-value and then adds blocks has more chances of a small one. Blocks that follow pilot
    blocks for a stated precision are not meant: only their variance decided about them, once.
    """
    for (before, _), (after, asked_at) in itertools.pairwise(studies):
        staged = before.primary.precision_percent is not None and before.repetitions == before.primary.pilot_blocks
        if after.repetitions <= before.repetitions or staged:
            continue
        whole = len(cells(before)) * before.repetitions
        done = Counter(
            trial.machine_id
            for trial in trials
            if trial.block is not None and trial.block <= before.repetitions and _began_before(trial, asked_at)
        )
        if any(count >= whole for count in done.values()):
            return before.repetitions
    return None


def _began_before(trial: TrialValues, moment: datetime) -> bool:
    return trial.started_at is not None and trial.started_at < moment


def judge(findings: Sequence[PooledFinding], family: Family) -> list[PooledFinding]:
    """The findings of one study with their roles and corrected p-values.

    Every metric is a family of its own over the pairs and tasks that were stated; what was not stated,
    or stated after there were data, is exploratory and not corrected.
    """
    families: dict[str, list[int]] = defaultdict(list)
    for index, finding in enumerate(findings):
        if _stated(finding, family):
            families[finding.metric].append(index)
    judged = list(findings)
    for metric, members in families.items():
        primary = metric == family.stated.metric
        tests = [(index, place, p) for index in members for place, p in _tests(findings[index])]
        adjusted = holm([p for _, _, p in tests])
        for index in members:
            judged[index] = replace(
                judged[index], role="primary" if primary else "secondary", family_size=len(tests) or len(members)
            )
        for (index, place, _), p in zip(tests, adjusted, strict=True):
            judged[index] = _adjusted(judged[index], place, p)
        if primary:
            for index, within in zip(members, _margins([judged[index] for index in members], family), strict=True):
                judged[index] = replace(judged[index], within=within)
    return judged


def _stated(finding: PooledFinding, family: Family) -> bool:
    stated = family.stated
    return (
        (finding.by, finding.kind, finding.paired) == ("model", "distillation", True)
        and (family.changed_after, family.extended_after) == (0, None)
        and family.alpha == family.stated.alpha
        and (stated.pairs is None or finding.pair in stated.pairs)
        and (stated.tasks is None or finding.setting.task in stated.tasks)
    )


def _tests(finding: PooledFinding) -> Iterator[tuple[int | None, float]]:
    """The tests that a finding makes: of the mean (None), or of each machine where there is no mean."""
    if finding.p_value is not None:
        yield None, finding.p_value
    elif finding.pooled is not None and finding.pooled.ratio is None:
        for place, result in enumerate(finding.machines):
            if result.ratio.p_value is not None:
                yield place, result.ratio.p_value


def _adjusted(finding: PooledFinding, place: int | None, p: float) -> PooledFinding:
    if place is None:
        return replace(finding, p_adjusted=p)
    machines: list[MachineResult] = list(finding.machines)
    machines[place] = replace(machines[place], p_adjusted=p)
    return replace(finding, machines=tuple(machines))


def _margins(findings: Sequence[PooledFinding], family: Family) -> list[tuple[Within, ...]]:
    """The tests of each finding against the margins that were stated, each kind of them corrected by Holm.

    They are of a mean, or of the one machine: two machines have none.
    """
    stated, found = family.stated, [list[Within]() for _ in findings]
    kinds: tuple[tuple[Literal["non-inferior", "equivalent"], float | None, _MarginTest], ...] = (
        ("non-inferior", stated.non_inferior_percent, non_inferior),
        ("equivalent", stated.equivalent_percent, equivalent),
    )
    for kind, percent, judged in kinds:
        if percent is None:
            continue
        means = [_mean(finding) for finding in findings]
        places = [place for place, mean in enumerate(means) if mean is not None and findings[place].p_value is not None]
        tests = [judged(*mean, margin=percent / 100, alpha=family.alpha) for place in places if (mean := means[place])]
        for place, test, p in zip(places, tests, holm([test.p_value for test in tests]), strict=True):
            found[place].append(Within(kind=kind, test=test, p_adjusted=p, holds=p < family.alpha))
    return [tuple(of) for of in found]


def _mean(finding: PooledFinding) -> tuple[float, float, float] | None:
    """Log ratio, its standard error and degrees of freedom."""
    pooled = finding.pooled
    if pooled is not None and pooled.ratio is not None and pooled.error:
        return math.log(pooled.ratio), pooled.error, pooled.units - 1
    if pooled is None and len(finding.machines) == 1:
        ratio = finding.machines[0].ratio
        if ratio.ratio is not None and ratio.error and ratio.degrees:
            return math.log(ratio.ratio), ratio.error, ratio.degrees
    return None
