"""One level against another by every metric: teacher against student, or the levels of any other factor.

A study goes through these steps: its trials are read (`metrics`), its contrasts found (`contrasts`), and the
trials of each contrast matched (`matching`), so that regime, weights and protocol are the same within a match.
Each match gives comparisons on its machine (`per_machine`); the matches of all machines give findings
(`pooled`), which get their roles (`roles`) and sentences (`conclusions`). Caveats (`caveats`) come last.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from joulefleet.compare.caveats.evidence import Evidence
from joulefleet.compare.caveats.statistical import caveats
from joulefleet.compare.conclusions import sentence_of, varied_fields
from joulefleet.compare.contrasts import (
    PROOFS,
    WITHIN_BLOCKS,
    By,
    level_contrasts,
    model_contrasts,
    parse_factor,
    require_known,
)
from joulefleet.compare.estimation import Terms
from joulefleet.compare.imported_factors import pooled_labels, settle_factors
from joulefleet.compare.interactions import find_interactions
from joulefleet.compare.matching import by_level, matches
from joulefleet.compare.metrics import METRICS, Metric, TrialValues, load_trials
from joulefleet.compare.per_machine import compare_metric, facts_of
from joulefleet.compare.pooled import pooled_findings
from joulefleet.compare.results import Comparison, Family, MatchFacts, MetricComparison, PooledFinding
from joulefleet.compare.roles import assign_roles, family_of
from joulefleet.errors import QueryError
from joulefleet.query.progress import StudyProgress, progress, select_records
from joulefleet.query.store import Store
from joulefleet.store.records import StudyRecord, newest

MACHINES_SHOWN = 3
"""Most machines whose own comparisons are returned by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """Arguments of `compare`, checked; the same for each study."""

    by: By
    pair: str | None
    reference: str | None
    metrics: Sequence[Metric]
    alpha: float | None
    every_machine: bool | None
    mixed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _StudyResult:
    """Comparison of one study, a part of that of all studies."""

    family: Family
    pooled_labels: Sequence[str]
    trials: Sequence[TrialValues]
    facts: Sequence[MatchFacts]
    per_machine: Sequence[MetricComparison]
    """Comparisons on each machine, those of proofs included."""
    interactions: Sequence[MetricComparison]
    findings: Sequence[PooledFinding]
    """Findings over all machines, those of proofs included."""
    hidden: frozenset[str]
    """Ids of the machines without comparisons of their own."""


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

    study, pair, metrics: only these; by another factor than the model, only the models of the pair.
    reference: the level against which the others are compared, by default the study's first. alpha: in
    place of the one that the study states. every_machine: whether each machine has comparisons of its own, by
    default where there are few. mixed: fit mixed models too. Raises QueryError where the store has no such
    study, pair or level, or where there is no such metric or factor; StoreError where a study is not of this
    version; ValueError for an alpha that is not between 0 and 1.
    """
    if alpha is not None and not 0 < alpha < 1:
        raise ValueError(f"alpha lies between 0 and 1, not at {alpha}")
    request = _Request(
        by=parse_factor(by),
        pair=pair,
        reference=reference,
        metrics=[metric for metric in METRICS if metrics is None or metric.name in metrics],
        alpha=alpha,
        every_machine=every_machine,
        mixed=mixed,
    )
    if reference is not None and request.by == "model":
        raise QueryError(
            "Models are compared in the study's pairs, each with its own reference.", cure="Name a pair by --pair."
        )
    records = select_records(newest(store.studies), study)
    pairs = [comparand.name for record in records for comparand in record.comparands]
    require_known("pair in these studies", [pair] if pair else None, pairs)
    require_known("metric", metrics, [metric.name for metric in METRICS])
    states = progress(store, study)
    results = [_compare_study(store, record, state, request) for record, state in zip(records, states, strict=True)]
    comparisons = [one for result in results for one in result.per_machine]
    proofs = tuple(one for one in comparisons if one.kind in PROOFS)
    others = tuple(one for one in comparisons if one.kind not in PROOFS)
    interactions = tuple(one for result in results for one in result.interactions)
    findings = tuple(finding for result in results for finding in result.findings)
    facts = tuple(fact for result in results for fact in result.facts)
    families = tuple(result.family for result in results)
    evidence = Evidence(
        proofs=proofs,
        others=(*others, *interactions),
        findings=findings,
        facts=facts,
        families=families,
        progress=states,
        trials={result.family.study: result.trials for result in results},
        pooled_labels={result.family.study: result.pooled_labels for result in results},
    )
    return Comparison(
        proofs=proofs,
        per_machine=others,
        machines_hidden=len({machine for result in results for machine in result.hidden}),
        interactions=interactions,
        findings=tuple(finding for finding in findings if finding.kind not in PROOFS),
        facts=facts,
        families=families,
        caveats=caveats(evidence),
        progress=states,
    )


def _compare_study(store: Store, record: StudyRecord, state: StudyProgress, request: _Request) -> _StudyResult:
    trials = load_trials(store, record.name)
    if record.imported_from is not None:
        trials = settle_factors(trials, record)
    versions = [version for version in store.studies if version.name == record.name]
    family = family_of(record, versions, trials, request.alpha)
    pilot = family.stated.pilot_blocks if family.stated.precision_percent is not None else None
    terms = Terms(finished=state.finished, confidence=1 - family.alpha, pilot_blocks=pilot)
    metrics = _metrics(request.metrics, record, trials)
    if request.by == "model":
        contrasts, compared = model_contrasts(record), trials
    else:
        models = _models(record, request.pair)
        compared = [trial for trial in trials if trial.model in models]
        contrasts = level_contrasts(record, compared, request.by, request.reference)
    levels = by_level(compared, request.by)
    by_contrast = [
        list(matches(record, contrast, levels, exclude_flags=family.stated.exclude_flags)) for contrast in contrasts
    ]
    # Roles are assigned before any finding is left out: a family is what the study stated, not what is requested.
    findings = assign_roles(
        [
            finding
            for of_contrast in by_contrast
            for finding in pooled_findings(of_contrast, metrics, terms, mixed=request.mixed)
        ],
        family,
    )
    varied = varied_fields(findings)
    pairs = {contrast.name for contrast in contrasts if request.by != "model" or request.pair in (None, contrast.name)}
    requested = [match for of_contrast in by_contrast for match in of_contrast if match.contrast.name in pairs]
    machines = frozenset(trial.machine_id for trial in trials)
    shown = len(machines) <= MACHINES_SHOWN if request.every_machine is None else request.every_machine
    shown = shown or request.by == "machine"
    listed = [match for match in requested if shown or match.contrast.kind in PROOFS]
    return _StudyResult(
        family=family,
        pooled_labels=pooled_labels(trials, record) if record.imported_from is not None else (),
        trials=trials,
        facts=[facts_of(match) for match in requested],
        per_machine=[compare_metric(match, metric, terms) for match in listed for metric in metrics],
        interactions=list(find_interactions(record, listed, metrics, terms)) if request.by in WITHIN_BLOCKS else [],
        findings=[replace(one, sentence=sentence_of(one, varied)) for one in findings if one.pair in pairs],
        hidden=frozenset() if shown else machines,
    )


def _metrics(requested: Sequence[Metric], record: StudyRecord, trials: Sequence[TrialValues]) -> list[Metric]:
    """Return the metrics of the study: all but those for imported trials; of an import those that it has values of."""
    if record.imported_from is None:
        return [metric for metric in requested if not metric.imported_only]
    return [
        metric
        for metric in requested
        if any(trial.joules if metric.name == "energy" else metric.value(trial, None) is not None for trial in trials)
    ]


def _models(record: StudyRecord, pair: str | None) -> set[str]:
    return {
        model
        for comparand in record.comparands
        if pair in (None, comparand.name)
        for model in (comparand.teacher, comparand.student)
    } | ({*record.definition["models"]} if pair is None else set())
