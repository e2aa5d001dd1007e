"""All caveats of a comparison, among them those about proofs, families, tests and intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from joulefleet.compare.caveats.evidence import Evidence, counted, named, note, warning
from joulefleet.compare.caveats.provenance import energy_caveats, regime_caveats, weights_caveats
from joulefleet.compare.caveats.trials import separation_caveats, trial_caveats
from joulefleet.compare.formatting import deviation_text, estimate_text, p_text, ratio_text
from joulefleet.compare.results import Caveat, Family, MetricComparison, PooledFinding
from joulefleet.query.progress import StudyProgress
from joulefleet.stats.paired import BLOCKS_FOR_TEST

PLAUSIBLE_TIME_RATIO = (0.35, 0.85)
"""Plausible ratio of times for half the layers at batch 1 on a CPU. Outside of it the set-up is suspect."""

_LEVELS = ("alarm", "warning", "note")


def caveats(evidence: Evidence) -> tuple[Caveat, ...]:
    """Return every caveat that `evidence` gives reason for: alarms, then warnings, then notes."""
    every = [
        *_proofs(evidence.proofs),
        *_statement_changes(evidence.families),
        *_machines_left_out(evidence.findings),
        *_shared_models(evidence.findings),
        *_implausible(evidence.findings),
        *_unfinished(evidence.progress),
        *trial_caveats(evidence),
        *_disagreeing_tests(evidence.comparisons()),
        *_outliers(evidence.comparisons()),
        *energy_caveats(evidence),
        *regime_caveats(evidence.facts),
        *weights_caveats(evidence),
        *separation_caveats(evidence.facts),
        *_few_blocks(evidence),
        *_spread(evidence.findings),
        *_families(evidence),
    ]
    return tuple(sorted(every, key=lambda caveat: _LEVELS.index(caveat.level)))


def _described(comparison: MetricComparison) -> str:
    model = "" if comparison.setting.model is None else f"{comparison.setting.model}, "
    task = "" if comparison.setting.task is None else f" on {comparison.setting.task}"
    machine = "" if comparison.machine is None else f" ({comparison.machine})"
    return f"{comparison.setting.study}: {comparison.title} of {model}{comparison.other.level}{task}{machine}"


def _proofs(proofs: Sequence[MetricComparison]) -> Iterator[Caveat]:
    for proof in proofs:
        if proof.proof_holds is False:
            text = (
                f"PROOF FAILED: {_described(proof)} is {estimate_text(proof.ratio)} of {proof.reference.level}'s, and "
                f"the truth is {proof.expected_ratio:.2f}. Do not trust the other ratios before this is explained "
                f"(1 proof in {round(1 / (1 - proof.ratio.confidence))} fails by chance)."
            )
            yield Caveat(level="alarm", text=text)
        elif proof.proof_holds is None and proof.expected_ratio is not None:
            yield note(f"Not proven yet: {_described(proof)}: {proof.ratio.interval_reason}.")


def _statement_changes(families: Sequence[Family]) -> Iterator[Caveat]:
    for family in families:
        if family.changed_after:
            yield warning(
                f"{family.study}: what is primary was changed after {counted(family.changed_after, 'trial')} had "
                "begun, so all findings are exploratory."
            )
    for family in families:
        if family.extended_after is not None:
            yield warning(
                f"{family.study}: blocks were added when {family.extended_after} were finished and their results "
                "could be seen, so all findings are exploratory. `run --until-precision` adds blocks without that."
            )


def _machines_left_out(findings: Sequence[PooledFinding]) -> Iterator[Caveat]:
    quantities: dict[str, list[str]] = {}
    for finding in findings:
        for machine, why in finding.left_out.items():
            if finding.pooled is not None:
                quantities.setdefault(f"{machine} ({why})", []).append(f"{finding.title} on {finding.setting.task}")
    for machine, of_machine in quantities.items():
        yield warning(f"Not in the mean: {machine}: {named(of_machine)}.")


def _shared_models(findings: Sequence[PooledFinding]) -> Iterator[Caveat]:
    means = [finding.pooled for finding in findings if finding.pooled and finding.pooled.ratio is not None]
    if any(mean.shared_models for mean in means):
        yield warning(
            "The machines share one or two CPU models and are no independent replicates: intervals over them hold "
            "only for machines of these models, and there is no p-value."
        )


def _implausible(findings: Sequence[PooledFinding]) -> Iterator[Caveat]:
    low, high = PLAUSIBLE_TIME_RATIO
    for finding in findings:
        if (finding.metric, finding.by, finding.kind) != ("time", "model", "distillation"):
            continue
        off = [
            f"{ratio_text(result.ratio.ratio)} on {result.machine}"
            for result in finding.machines
            if result.ratio.ratio is not None and not low <= result.ratio.ratio <= high
        ]
        if off:
            yield warning(
                f"{finding.setting.study}: {finding.title} of {finding.other} on {finding.setting.task} is "
                f"{named(off)} of {finding.reference}'s, outside {low} to {high}: suspect the set-up before the model."
            )


def _unfinished(studies: Sequence[StudyProgress]) -> Iterator[Caveat]:
    for study in studies:
        if not study.finished:
            yield note(
                f"{study.study} is unfinished ({study.missing} of {study.planned} trials missing): "
                "estimates, no p-values."
            )


def _disagreeing_tests(comparisons: Sequence[MetricComparison]) -> Iterator[Caveat]:
    for comparison in comparisons:
        exact, p_value = comparison.checks.sign_flip_p, comparison.ratio.p_value
        alpha = 1 - comparison.ratio.confidence
        if exact is None or p_value is None or (exact <= alpha) == (p_value <= alpha):
            continue
        # Few blocks cannot reach a small exact p-value whatever they show: that is no disagreement.
        if exact <= alpha or 2 / 2**comparison.ratio.n_blocks <= alpha:
            yield warning(
                f"{_described(comparison)}: the t-test ({p_text(p_value)}) and the exact sign-flip test "
                f"({p_text(exact)}) disagree at {alpha:.2g}."
            )


def _outliers(comparisons: Sequence[MetricComparison]) -> Iterator[Caveat]:
    texts = [
        f"{_described(comparison)}: block {', '.join(map(str, comparison.checks.outliers))}, "
        f"{estimate_text(comparison.ratio)} with and {estimate_text(without)} without"
        for comparison in comparisons
        if (without := comparison.checks.without_outliers) is not None
    ]
    if texts:
        yield warning(f"Blocks whose ratio is an outlier are kept: {named(texts, '; ')}.")


def _few_blocks(evidence: Evidence) -> Iterator[Caveat]:
    most = max((estimate.n_blocks for _, estimate in evidence.estimates()), default=BLOCKS_FOR_TEST)
    if most < BLOCKS_FOR_TEST:
        unit = "trial" if evidence.facts and not any(fact.paired for fact in evidence.facts) else "block"
        yield note(f"{counted(most, unit)}: too few for a p-value, which needs {BLOCKS_FOR_TEST}.")


def _spread(findings: Sequence[PooledFinding]) -> Iterator[Caveat]:
    for finding in findings:
        spread = finding.components
        if finding.role != "primary" or spread is None or spread.block is None:
            continue
        levels = (("blocks", spread.block), ("machines", spread.machine), ("CPU models", spread.cpu_model))
        parts = [f"between {level} {deviation_text(variance)}" for level, variance in levels if variance is not None]
        yield note(
            f"{finding.setting.study}: {finding.title} of {finding.other} on {finding.setting.task} varies "
            f"{', '.join(parts)} (standard deviations of the ratio)."
        )


def _families(evidence: Evidence) -> Iterator[Caveat]:
    for family in evidence.families:
        stated = family.stated
        findings = [finding for finding in evidence.findings if finding.setting.study == family.study]
        primary = next((finding for finding in findings if finding.role == "primary"), None)
        tested = sum(finding.p_value is not None for finding in findings)
        if primary is not None:
            which = f"{_stated('pair', stated.pairs)} on {_stated('task', stated.tasks)}"
            tests = f"Holm over {primary.family_size}" if primary.family_size > 1 else "one test"
            yield note(
                f"{family.study}: primary, as stated before the data ({family.digest[:8]}): {primary.title} of "
                f"{which}, at {family.alpha:g}, {tests}. Every other metric is secondary, a family of its own; "
                "comparisons on single machines and all else are exploratory."
            )
        elif tested:
            yield note(f"{family.study}: exploratory, p-values not corrected for their number ({tested}).")
        if family.alpha != stated.alpha:
            yield note(
                f"{family.study} states an alpha of {stated.alpha:g}; shown is {family.alpha:g}, so all "
                "findings are exploratory."
            )


def _stated(what: str, names: Sequence[str] | None) -> str:
    return f"every {what}" if names is None else ", ".join(names)
