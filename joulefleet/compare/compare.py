"""One level against another, by every metric: teacher against student, or the levels of any other factor.

A line pools blocks of one machine and one protocol of each arm, never more; a finding is what several
machines say together. The regime, the origin of the weights and the protocols are part of what a line
is, so trials that differ in them cannot meet in one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from joulefleet.compare.caveats.evidence import Grounds
from joulefleet.compare.caveats.statistical import remarks
from joulefleet.compare.conclusions import sentence_of, varied
from joulefleet.compare.contrasts import PROOFS, WITHIN_BLOCKS, By, checked_by, level_contrasts, model_contrasts
from joulefleet.compare.estimation import Terms
from joulefleet.compare.imported_factors import alike, pooled_labels
from joulefleet.compare.interactions import interactions
from joulefleet.compare.matching import by_level, checked, matches
from joulefleet.compare.metrics import METRICS, Metric, TrialValues, load_trials
from joulefleet.compare.per_machine import facts_of, line_of
from joulefleet.compare.pooled import find
from joulefleet.compare.results import Comparison, Family, MatchFacts, MetricComparison, PooledFinding
from joulefleet.compare.roles import family_of, judge
from joulefleet.errors import QueryError
from joulefleet.query.progress import StudyProgress, progress, select_records
from joulefleet.query.store import Store
from joulefleet.store.records import StudyRecord, newest

MACHINES_SHOWN = 3
"""With more machines each one's own lines are left out unless they are asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is to be compared, of each study."""

    by: By
    pair: str | None
    reference: str | None
    metrics: Sequence[Metric]
    alpha: float | None
    every_machine: bool | None
    mixed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPart:
    """What is found of one study."""

    family: Family
    pooled_labels: Sequence[str]
    trials: Sequence[TrialValues]
    facts: Sequence[MatchFacts]
    lines: Sequence[MetricComparison]
    """Proofs too."""
    interactions: Sequence[MetricComparison]
    findings: Sequence[PooledFinding]
    hidden: frozenset[str | None]
    """Ids of the machines without lines."""


def compare(
    store: Store,
    *,
    study: str | None = None,
    pair: str | None = None,
    metrics: Collection[str] | None = None,
    by: str = "model",
    reference: str | None = None,
    alpha: float | None = None,
    every_machine: bool | None = None,
    mixed: bool = False,
) -> Comparison:
    """Compare by the factor `by`: model (each pair of a study), environment, machine, task, batch_size, threads, dtype.

    study, pair, metrics: these alone; by another factor than the model, the models of the pair alone.
    reference: the level against which the others are compared, by default the study's first. alpha: in
    place of the one that the study states. every_machine: lines for each machine; by default where there
    are few. mixed: fit mixed models too. Raises QueryError where the store has no such study, pair or
    level, or where there is no such metric or factor; ValueError for an alpha that is not between 0 and 1.
    """
    if alpha is not None and not 0 < alpha < 1:
        raise ValueError(f"alpha lies between 0 and 1, not at {alpha}")
    asked = _Asked(
        by=checked_by(by),
        pair=pair,
        reference=reference,
        metrics=[metric for metric in METRICS if metrics is None or metric.name in metrics],
        alpha=alpha,
        every_machine=every_machine,
        mixed=mixed,
    )
    if reference is not None and asked.by == "model":
        raise QueryError("Of models the study's pairs are compared: there is no reference.", cure="Name one by --pair.")
    records = select_records(newest(store.studies), study)
    pairs = [comparand.name for record in records for comparand in record.comparands]
    checked("pair in these studies", [pair] if pair else None, pairs)
    checked("metric", metrics, [metric.name for metric in METRICS])
    states = progress(store, study)
    parts = [_compare(store, record, state, asked) for record, state in zip(records, states, strict=True)]
    lines = [line for part in parts for line in part.lines]
    proofs = tuple(line for line in lines if line.kind in PROOFS)
    rest = tuple(line for line in lines if line.kind not in PROOFS)
    findings = tuple(finding for part in parts for finding in part.findings)
    facts = tuple(fact for part in parts for fact in part.facts)
    return Comparison(
        proofs=proofs,
        lines=rest,
        machines_hidden=len({machine for part in parts for machine in part.hidden}),
        interactions=tuple(line for part in parts for line in part.interactions),
        findings=tuple(finding for finding in findings if finding.kind not in PROOFS),
        facts=facts,
        families=tuple(part.family for part in parts),
        remarks=remarks(
            Grounds(
                proofs=proofs,
                lines=(*rest, *(line for part in parts for line in part.interactions)),
                findings=findings,
                facts=facts,
                families=[part.family for part in parts],
                states=states,
                trials={part.family.study: part.trials for part in parts},
                pooled_labels={part.family.study: part.pooled_labels for part in parts},
            )
        ),
        progress=states,
    )


def _compare(store: Store, record: StudyRecord, state: StudyProgress, asked: _Asked) -> StudyPart:
    trials = load_trials(store, record.name)
    if record.imported_from is not None:
        trials = alike(trials, record)
    versions = [version for version in store.studies if version.name == record.name]
    family = family_of(record, versions, trials, asked.alpha)
    two_stages = family.stated.precision_percent is not None
    pilot = family.stated.pilot_blocks if two_stages else None
    terms = Terms(finished=state.finished, confidence=1 - family.alpha, pilot_blocks=pilot)
    metrics = _metrics(asked.metrics, record, trials)
    if asked.by == "model":
        contrasts, looked_at = model_contrasts(record), trials
    else:
        looked_at = [trial for trial in trials if trial.model in _models(record, asked.pair)]
        contrasts = level_contrasts(record, looked_at, asked.by, asked.reference)
    levels = by_level(looked_at, asked.by)
    every = [
        list(matches(record, contrast, levels, exclude_flags=family.stated.exclude_flags)) for contrast in contrasts
    ]
    # Judged before any is left out: a family is what the study stated, not what is looked at.
    findings = judge([one for of in every for one in find(of, metrics, terms, mixed=asked.mixed)], family)
    varying = varied(findings)
    pairs = {contrast.name for contrast in contrasts if asked.by != "model" or asked.pair in (None, contrast.name)}
    found = [match for of in every for match in of if match.contrast.name in pairs]
    machines = frozenset(trial.machine_id for trial in trials)
    shown = len(machines) <= MACHINES_SHOWN if asked.every_machine is None else asked.every_machine
    shown = shown or asked.by == "machine"
    listed = [match for match in found if shown or match.contrast.kind in PROOFS]
    return StudyPart(
        family=family,
        pooled_labels=pooled_labels(trials, record) if record.imported_from is not None else (),
        trials=trials,
        facts=[facts_of(match) for match in found],
        lines=[line_of(match, metric, terms) for match in listed for metric in metrics],
        interactions=list(interactions(record, listed, metrics, terms)) if asked.by in WITHIN_BLOCKS else [],
        findings=[replace(one, sentence=sentence_of(one, varying)) for one in findings if one.pair in pairs],
        hidden=frozenset() if shown else machines,
    )


def _metrics(asked: Sequence[Metric], record: StudyRecord, trials: Sequence[TrialValues]) -> list[Metric]:
    """Our own trials have them all, or a reason; other tools know some, and are not asked for the rest."""
    if record.imported_from is None:
        return [metric for metric in asked if not metric.imported_only]
    return [
        metric
        for metric in asked
        if any(trial.joules if metric.name == "energy" else metric.value(trial, None) is not None for trial in trials)
    ]


def _models(record: StudyRecord, pair: str | None) -> set[str]:
    return {
        model
        for comparand in record.comparands
        if pair in (None, comparand.name)
        for model in (comparand.teacher, comparand.student)
    } | ({*record.definition["models"]} if pair is None else set())
