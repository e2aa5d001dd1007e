"""The sentences that belong under a comparison. They warn; they never change or withhold a number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from joulefleet.compare.caveats.evidence import Grounds, counted, listed, some
from joulefleet.compare.caveats.provenance import energy_remarks, regime_remarks, weights_remarks
from joulefleet.compare.conclusions import digits, percent_of
from joulefleet.compare.metrics import TrialValues
from joulefleet.compare.results import Family, MatchFacts, MetricComparison, PooledFinding, Remark
from joulefleet.query.progress import StudyProgress
from joulefleet.stats.paired import BLOCKS_FOR_TEST, Estimate

PLAUSIBLE_TIME_RATIO = (0.35, 0.85)
"""Half the layers at batch 1 on a CPU give about half the time; further off, something else was measured."""


def remarks(grounds: Grounds) -> tuple[Remark, ...]:
    """Every remark, alarms first."""
    found = [
        *_proofs(grounds.proofs),
        *_changed(grounds.families),
        *_extended(grounds.families),
        *_left_out(grounds.findings),
        *_few_models(grounds.findings),
        *_implausible(grounds.findings),
        *_unfinished(grounds.states),
        *_confounded(grounds.facts),
        *_pooled_labels(grounds.pooled_labels),
        *_failures(grounds.trials),
        *_blocks_lost(grounds),
        *_flags(grounds.facts),
        *_disagreeing(grounds),
        *_outliers(grounds),
        *energy_remarks(grounds),
        *regime_remarks(grounds.facts),
        *weights_remarks(grounds),
        *_separate(grounds.facts),
        *_few_blocks(grounds),
        *_spread(grounds.findings),
        *_families(grounds),
    ]
    return tuple(sorted(found, key=lambda remark: ("alarm", "warning", "note").index(remark.level)))


def _where(line: MetricComparison) -> str:
    model = "" if line.setting.model is None else f"{line.setting.model}, "
    task = "" if line.setting.task is None else f" on {line.setting.task}"
    machine = "" if line.machine is None else f" ({line.machine})"
    return f"{line.setting.study}: {line.title} of {model}{line.other.level}{task}{machine}"


def _interval(estimate: Estimate) -> str:
    if estimate.ratio is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return digits(estimate.ratio)
    return f"{digits(estimate.ratio)} [{digits(estimate.low)}, {digits(estimate.high)}]"


def _proofs(proofs: Sequence[MetricComparison]) -> Iterator[Remark]:
    for line in proofs:
        if line.proof_holds is False:
            yield Remark(
                level="alarm",
                text=f"PROOF FAILED: {_where(line)} is {_interval(line.ratio)} of {line.reference.level}'s, and the "
                f"truth is {line.expected_ratio:.2f}. Do not trust the other ratios before this is explained "
                f"(1 proof in {round(1 / (1 - line.ratio.confidence))} fails by chance).",
            )
        elif line.proof_holds is None and line.expected_ratio is not None:
            yield Remark(level="note", text=f"Not proven yet: {_where(line)}: {line.ratio.interval_reason}.")


def _changed(families: Sequence[Family]) -> Iterator[Remark]:
    for family in families:
        if family.changed_after:
            yield Remark(
                level="warning",
                text=f"{family.study}: what is primary was changed after {counted(family.changed_after, 'trial')} had "
                "begun, so all of it is exploratory.",
            )


def _extended(families: Sequence[Family]) -> Iterator[Remark]:
    for family in families:
        if family.extended_after is not None:
            yield Remark(
                level="warning",
                text=f"{family.study}: blocks were added when {family.extended_after} were finished and could be "
                "looked at, so all of it is exploratory. `run --until-precision` adds blocks without that.",
            )


def _left_out(findings: Sequence[PooledFinding]) -> Iterator[Remark]:
    said: dict[str, list[str]] = {}
    for finding in findings:
        for machine, why in finding.left_out.items():
            if finding.pooled is not None:
                said.setdefault(f"{machine} ({why})", []).append(f"{finding.title} on {finding.setting.task}")
    for machine, what in said.items():
        yield Remark(level="warning", text=f"Not in the mean: {machine}: {some(list(dict.fromkeys(what)))}.")


def _few_models(findings: Sequence[PooledFinding]) -> Iterator[Remark]:
    if any(of.pooled and of.pooled.ratio is not None and of.pooled.shared_models for of in findings):
        yield Remark(
            level="warning",
            text="The machines share one or two CPU models and are no independent replicates: intervals over them hold "
            "for machines of these models, and there is no p-value.",
        )


def _implausible(findings: Sequence[PooledFinding]) -> Iterator[Remark]:
    low, high = PLAUSIBLE_TIME_RATIO
    for finding in findings:
        if (finding.metric, finding.by, finding.kind) != ("time", "model", "distillation"):
            continue
        off = [
            f"{digits(result.ratio.ratio)} on {result.machine}"
            for result in finding.machines
            if result.ratio.ratio is not None and not low <= result.ratio.ratio <= high
        ]
        if off:
            yield Remark(
                level="warning",
                text=f"{finding.setting.study}: {finding.title} of {finding.other} on {finding.setting.task} is "
                f"{some(off)} of {finding.reference}'s, outside {low} to {high}: suspect the set-up before the model.",
            )


def _unfinished(states: Sequence[StudyProgress]) -> Iterator[Remark]:
    for state in states:
        if not state.finished:
            yield Remark(
                level="note",
                text=f"{state.study} is unfinished ({state.missing} of {state.planned} trials missing): "
                "estimates, no p-values.",
            )


def _confounded(facts: Sequence[MatchFacts]) -> Iterator[Remark]:
    unpaired = [fact for fact in facts if not fact.paired and fact.by != "machine"]
    for study in dict.fromkeys(fact.setting.study for fact in unpaired):
        of = [fact for fact in unpaired if fact.setting.study == study]
        apart = [f"{fact.reference} and {fact.other}" for fact in of if not fact.interleaved]
        if apart:
            yield Remark(
                level="warning",
                text=f"{study}: model and day are confounded: all runs of one arm were one block before or after the "
                f"other's, or their times are unknown ({some(list(dict.fromkeys(apart)))}). A difference may be the "
                "day's.",
            )
        yield Remark(
            level="note",
            text=f"{study} has no blocks: its trials are compared unpaired (Welch), and nothing was stated before "
            "its data, so all of it is exploratory.",
        )
    if any(fact.by == "machine" for fact in facts):
        yield Remark(level="note", text="Machines share no block: they are compared unpaired (Welch).")


def _pooled_labels(labels: Mapping[str, Sequence[str]]) -> Iterator[Remark]:
    for study, names in labels.items():
        if names:
            yield Remark(
                level="warning",
                text=f"{study}: trials with different {', '.join(names)} are taken together: not both models of each "
                "pair have several trials at each level.",
            )


def _failures(trials: Mapping[str, Sequence[TrialValues]]) -> Iterator[Remark]:
    for study, rows in trials.items():
        reasons = Counter(row.reason or "unknown" for row in rows if row.status != "ok")
        if reasons:
            yield Remark(
                level="warning",
                text=f"{study}: {counted(reasons.total(), 'trial')} failed ({listed(dict(reasons.most_common()))}); "
                "their blocks lack an arm.",
            )


def _blocks_lost(grounds: Grounds) -> Iterator[Remark]:
    reasons: Counter[str] = Counter()
    for title, estimate in _estimates(grounds):
        for reason, count in estimate.exclusions.items():
            reasons[f"{title}, {reason}"] += count
    if reasons:
        yield Remark(level="warning", text=f"Blocks left out: {listed(reasons)}.")
    facts = grounds.facts
    unequal, boots = sum(fact.unequal_blocks for fact in facts), sum(fact.boots_differ for fact in facts)
    libraries, excluded = sum(fact.other_libraries for fact in facts), sum(fact.excluded for fact in facts)
    if unequal:
        yield Remark(
            level="warning",
            text=f"{counted(unequal, 'block')} left out: the two trials did unequal work (items or threads differ).",
        )
    if libraries:
        yield Remark(
            level="warning",
            text=f"{counted(libraries, 'block')} left out: the two environments have different libraries, and it would "
            "be those that are compared.",
        )
    if excluded:
        yield Remark(
            level="warning",
            text=f"{counted(excluded, 'block')} left out for their flags, as the study stated before.",
        )
    first = [f"{fact.always_first} on {fact.setting.task or fact.machine}" for fact in facts if fact.always_first]
    if first:
        yield Remark(
            level="warning",
            text=f"One arm ran first in every block ({some(list(dict.fromkeys(first)))}): what changes within a block "
            "is not told from what is compared. With two cells there is no other order; a study of more has one.",
        )
    if boots:
        yield Remark(level="warning", text=f"{counted(boots, 'block')} pair trials of different boots of the machine.")


def _flags(facts: Sequence[MatchFacts]) -> Iterator[Remark]:
    arms: dict[str, dict[str, str]] = {}
    for fact in facts:
        for name, flags in fact.flags.items():
            if flags:
                model = "" if fact.setting.model is None else f"{fact.setting.model} "
                task = "" if fact.setting.task is None else f"/{fact.setting.task}"
                where = f"{model}{name}{task}" + ("" if fact.by == "machine" else f" on {fact.machine}")
                of = arms.setdefault(fact.setting.study, {})
                of[where] = f"{where}: {listed(flags)} of {fact.ok[name]}"
    for study, of in arms.items():
        yield Remark(
            level="warning",
            text=f"{study}: flagged trials are kept, and each ratio is also given without them. "
            f"{some(list(of.values()), '; ')}.",
        )


def _disagreeing(grounds: Grounds) -> Iterator[Remark]:
    for line in (*grounds.proofs, *grounds.lines):
        exact, p_value = line.checks.sign_flip_p, line.ratio.p_value
        alpha = 1 - line.ratio.confidence
        if exact is not None and p_value is not None and (exact <= alpha) != (p_value <= alpha):
            # Few blocks cannot reach a small p-value whatever they show: no disagreement.
            if exact > alpha and 2 / 2**line.ratio.n_blocks > alpha:
                continue
            yield Remark(
                level="warning",
                text=f"{_where(line)}: the t-test (p = {p_value:.2g}) and the exact sign-flip test (p = {exact:.2g}) "
                f"disagree at {alpha:.2g}.",
            )


def _outliers(grounds: Grounds) -> Iterator[Remark]:
    said = []
    for line in (*grounds.proofs, *grounds.lines):
        without = line.checks.without_outliers
        if without is not None:
            blocks = ", ".join(map(str, line.checks.outliers))
            said.append(
                f"{_where(line)}: block {blocks}, {_interval(line.ratio)} with and {_interval(without)} without"
            )
    if said:
        yield Remark(level="warning", text=f"Blocks that stand far off are kept: {some(said, '; ')}.")


def _separate(facts: Sequence[MatchFacts]) -> Iterator[Remark]:
    machines = {fact.setting.machine_id for fact in facts}
    if len(machines) > 1:
        yield Remark(
            level="note",
            text=f"{len(machines)} machines: each counts once in what is said of all.",
        )
    twins = Counter((fact.pair, fact.setting) for fact in facts)
    several = sum(1 for count in twins.values() if count > 1)
    if several:
        yield Remark(
            level="warning",
            text=f"{counted(several, 'comparison')} were measured under several protocols (the study changed "
            "between runs): each protocol has a line of its own.",
        )


def _few_blocks(grounds: Grounds) -> Iterator[Remark]:
    most = max((estimate.n_blocks for _, estimate in _estimates(grounds)), default=BLOCKS_FOR_TEST)
    if most < BLOCKS_FOR_TEST:
        what = "trial" if grounds.facts and not any(fact.paired for fact in grounds.facts) else "block"
        yield Remark(
            level="note",
            text=f"{counted(most, what)}: too few for a p-value, which needs {BLOCKS_FOR_TEST}.",
        )


def _spread(findings: Sequence[PooledFinding]) -> Iterator[Remark]:
    for finding in findings:
        spread = finding.components
        if finding.role != "primary" or spread is None or spread.block is None:
            continue
        of = (("blocks", spread.block), ("machines", spread.machine), ("CPU models", spread.cpu_model))
        parts = [f"between {what} {percent_of(variance)}" for what, variance in of if variance is not None]
        yield Remark(
            level="note",
            text=f"{finding.setting.study}: {finding.title} of {finding.other} on {finding.setting.task} varies "
            f"{', '.join(parts)} (standard deviations of the ratio).",
        )


def _families(grounds: Grounds) -> Iterator[Remark]:
    for family in grounds.families:
        of = [finding for finding in grounds.findings if finding.setting.study == family.study]
        primary = next((finding for finding in of if finding.role == "primary"), None)
        if primary is not None:
            stated = family.stated
            which = f"{_names('pair', stated.pairs)} on {_names('task', stated.tasks)}"
            tests = f"Holm over {primary.family_size}" if primary.family_size > 1 else "one test"
            yield Remark(
                level="note",
                text=f"{family.study}: primary, as stated before the data ({family.digest[:8]}): {primary.title} of "
                f"{which}, at {family.alpha:g}, {tests}. Every other metric is secondary, a family of its own; "
                "lines of single machines and all else are exploratory.",
            )
        elif any(finding.p_value is not None for finding in of):
            number = sum(finding.p_value is not None for finding in of)
            yield Remark(
                level="note",
                text=f"{family.study}: exploratory, p-values not corrected for their number ({number}).",
            )
        if family.alpha != family.stated.alpha:
            yield Remark(
                level="note",
                text=f"{family.study} states an alpha of {family.stated.alpha:g}; shown is {family.alpha:g}, so all "
                "of it is exploratory.",
            )


def _names(what: str, names: Sequence[str] | None) -> str:
    return f"every {what}" if names is None else ", ".join(names)


def _estimates(grounds: Grounds) -> Iterator[tuple[str, Estimate]]:
    """Every estimate with its metric: of the lines, or of the machines where those have no lines."""
    lines = (*grounds.proofs, *grounds.lines)
    yield from ((line.title, line.ratio) for line in lines)
    if not grounds.lines:
        for finding in grounds.findings:
            yield from ((finding.title, result.ratio) for result in finding.machines)
