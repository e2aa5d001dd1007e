"""Roles of findings, as the study stated them before its data, and the correction of p-values."""

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
    """Return what `record` states as primary, and whether that was so before there were data.

    versions: all records of the study, oldest first, `record` last. alpha: requested in place of the stated
    one. Raises StoreError where a record's study is not of this version.
    """
    stated = stated_primary(record)
    if record.imported_from is not None:
        return Family(study=record.name, stated=stated, digest="", alpha=alpha or stated.alpha)
    studies = [(study_in(version), version.requested_at) for version in versions]
    digests = [primary_digest(study_to_json(study)) for study, _ in studies]
    # Only a change counts: trials from before the first record have a wrong clock, and no other statement.
    changes = [index for index in range(1, len(digests)) if digests[index] != digests[index - 1]]
    since = studies[changes[-1]][1] if changes else None
    return Family(
        study=record.name,
        stated=stated,
        digest=digests[-1],
        changed_after=sum(trial.started_at < since for trial in trials if trial.started_at) if since else 0,
        extended_after=_extended_after(studies, trials),
        alpha=stated.alpha if alpha is None else alpha,
    )


def stated_primary(record: StudyRecord) -> Primary:
    """Return what `record` states as primary; the default for imported data, which state nothing."""
    return Primary() if record.imported_from is not None else study_in(record).primary


def _extended_after(studies: Sequence[tuple[Study, datetime]], trials: Sequence[TrialValues]) -> int | None:
    """Return the number of blocks that some machine had finished when more were requested; None where none had.

    To look at a p-value and then add blocks gives more chances of a small one. Blocks that follow pilot
    blocks for a stated precision do not count: only the variance decided about them, once.
    """
    for (before, _), (after, requested_at) in itertools.pairwise(studies):
        staged = before.primary.precision_percent is not None and before.repetitions == before.primary.pilot_blocks
        if after.repetitions <= before.repetitions or staged:
            continue
        planned = len(cells(before)) * before.repetitions
        begun = Counter(
            trial.machine_id
            for trial in trials
            if trial.block is not None and trial.block <= before.repetitions and _began_before(trial, requested_at)
        )
        if any(count >= planned for count in begun.values()):
            return before.repetitions
    return None


def _began_before(trial: TrialValues, moment: datetime) -> bool:
    return trial.started_at is not None and trial.started_at < moment


def assign_roles(findings: Sequence[PooledFinding], family: Family) -> list[PooledFinding]:
    """Return the findings of one study with their roles and corrected p-values, in the same order.

    Every metric is a family of its own over the pairs and tasks that were stated. What was not stated, or
    stated after there were data, is exploratory and not corrected. Pass all findings of the
    study: without some of them a family would be smaller than was stated.
    """
    families: dict[str, list[int]] = defaultdict(list)
    for index, finding in enumerate(findings):
        if _stated(finding, family):
            families[finding.metric].append(index)
    assigned = list(findings)
    for metric, members in families.items():
        primary = metric == family.stated.metric
        tests = [(index, machine, p) for index in members for machine, p in _tests(findings[index])]
        adjusted = holm([p for _, _, p in tests])
        for index in members:
            assigned[index] = replace(
                assigned[index], role="primary" if primary else "secondary", family_size=len(tests) or len(members)
            )
        for (index, machine, _), p in zip(tests, adjusted, strict=True):
            assigned[index] = _adjusted(assigned[index], machine, p)
        if primary:
            for index, within in zip(members, _margins([assigned[index] for index in members], family), strict=True):
                assigned[index] = replace(assigned[index], within=within)
    return assigned


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
    """Yield the p-values of a finding: of the mean (None), or of each machine (its index) where there is no mean."""
    if finding.p_value is not None:
        yield None, finding.p_value
    elif finding.pooled is not None and finding.pooled.ratio is None:
        for index, result in enumerate(finding.machines):
            if result.ratio.p_value is not None:
                yield index, result.ratio.p_value


def _adjusted(finding: PooledFinding, machine: int | None, p: float) -> PooledFinding:
    if machine is None:
        return replace(finding, p_adjusted=p)
    machines: list[MachineResult] = list(finding.machines)
    machines[machine] = replace(machines[machine], p_adjusted=p)
    return replace(finding, machines=tuple(machines))


def _margins(findings: Sequence[PooledFinding], family: Family) -> list[tuple[Within, ...]]:
    """Return the tests of each finding against the stated margins, each kind of test corrected by Holm.

    The ratio of the mean over machines is tested, or that of the one machine; two machines have neither.
    """
    stated, results = family.stated, [list[Within]() for _ in findings]
    kinds: tuple[tuple[Literal["non-inferior", "equivalent"], float | None, _MarginTest], ...] = (
        ("non-inferior", stated.non_inferior_percent, non_inferior),
        ("equivalent", stated.equivalent_percent, equivalent),
    )
    for kind, percent, margin_test in kinds:
        if percent is None:
            continue
        tests = [
            (within, margin_test(*mean, margin=percent / 100, alpha=family.alpha))
            for finding, within in zip(findings, results, strict=True)
            if finding.p_value is not None and (mean := _mean(finding)) is not None
        ]
        for (within, test), p in zip(tests, holm([test.p_value for _, test in tests]), strict=True):
            within.append(Within(kind=kind, test=test, p_adjusted=p, holds=p < family.alpha))
    return [tuple(within) for within in results]


def _mean(finding: PooledFinding) -> tuple[float, float, float] | None:
    """Return the log ratio, its standard error and degrees of freedom; None where there is no single ratio."""
    pooled = finding.pooled
    if pooled is not None and pooled.ratio is not None and pooled.error:
        return math.log(pooled.ratio), pooled.error, pooled.units - 1
    if pooled is None and len(finding.machines) == 1:
        ratio = finding.machines[0].ratio
        if ratio.ratio is not None and ratio.error and ratio.degrees:
            return math.log(ratio.ratio), ratio.error, ratio.degrees
    return None
