"""Which findings are primary, as the study stated before its data, and what is left of them after correction."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from joulefleet.analysis.comparison import Family, Finding, MachineResult, Within
from joulefleet.analysis.metrics import TrialValues
from joulefleet.analysis.progress import understood
from joulefleet.analysis.statistics.families import holm
from joulefleet.analysis.statistics.margins import equivalent, non_inferior
from joulefleet.analysis.study_records import StudyRecord
from joulefleet.primary import Primary, primary_digest


def family_of(
    record: StudyRecord, versions: Sequence[StudyRecord], trials: Sequence[TrialValues], alpha: float | None
) -> Family:
    """What `record` states as primary; `versions` are all of the study, oldest first."""
    stated = stated_in(record)
    now = primary_digest(stated)
    since: datetime | None = record.asked_at
    for version in reversed(versions):
        if primary_digest(stated_in(version)) != now:
            break
        since = version.asked_at
    else:
        # It has always been stated so; a clock that was wrong at first is no change.
        since = None
    late = [trial for trial in trials if since and trial.started_at and trial.started_at < since]
    return Family(
        study=record.name,
        stated=stated,
        digest=now,
        changed_after=len(late),
        alpha=stated.alpha if alpha is None else alpha,
    )


def stated_in(record: StudyRecord) -> Primary:
    """The statement in `record`; the default one where other tools' data have none."""
    return Primary() if record.imported_from is not None else understood(record).primary


def judge(findings: Sequence[Finding], family: Family) -> list[Finding]:
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
                judged[index], role="primary" if primary else "secondary", family_size=max(1, len(tests))
            )
        for (index, place, _), p in zip(tests, adjusted, strict=True):
            judged[index] = _adjusted(judged[index], place, p)
        if primary:
            for index in members:
                judged[index] = replace(judged[index], within=tuple(_within(judged[index], family)))
    return judged


def _stated(finding: Finding, family: Family) -> bool:
    stated = family.stated
    return (
        (finding.by, finding.kind, finding.paired) == ("model", "distillation", True)
        and family.changed_after == 0
        and (stated.pairs is None or finding.pair in stated.pairs)
        and (stated.tasks is None or finding.setting.task in stated.tasks)
    )


def _tests(finding: Finding) -> Iterator[tuple[int | None, float]]:
    """The tests that a finding makes: of the mean (None), or of each machine where there is no mean."""
    if finding.p_value is not None:
        yield None, finding.p_value
    elif finding.pooled is not None and finding.pooled.ratio is None:
        for place, result in enumerate(finding.machines):
            if result.ratio.p_value is not None:
                yield place, result.ratio.p_value


def _adjusted(finding: Finding, place: int | None, p: float) -> Finding:
    if place is None:
        return replace(finding, p_adjusted=p)
    machines: list[MachineResult] = list(finding.machines)
    machines[place] = replace(machines[place], p_adjusted=p)
    return replace(finding, machines=tuple(machines))


def _within(finding: Finding, family: Family) -> Iterator[Within]:
    """The tests against the margins that were stated, of a mean or of the one machine."""
    mean = _mean(finding)
    if mean is None or finding.p_value is None:
        return
    stated, alpha = family.stated, family.alpha
    if stated.non_inferior_percent is not None:
        test = non_inferior(*mean, margin=stated.non_inferior_percent / 100, alpha=alpha)
        yield Within(kind="non-inferior", test=test)
    if stated.equivalent_percent is not None:
        yield Within(kind="equivalent", test=equivalent(*mean, margin=stated.equivalent_percent / 100, alpha=alpha))


def _mean(finding: Finding) -> tuple[float, float, float] | None:
    """Log ratio, its standard error and degrees of freedom."""
    pooled = finding.pooled
    if pooled is not None and pooled.ratio is not None and pooled.error:
        return math.log(pooled.ratio), pooled.error, pooled.units - 1
    if pooled is None and len(finding.machines) == 1:
        ratio = finding.machines[0].ratio
        if ratio.ratio is not None and ratio.error and ratio.degrees:
            return math.log(ratio.ratio), ratio.error, ratio.degrees
    return None
