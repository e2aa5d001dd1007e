"""Results of one match: its comparison by each metric, and the circumstances of its trials."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import mean, median

from joulefleet.compare.estimation import Terms, checks_of, estimate, match_basis
from joulefleet.compare.matching import Match
from joulefleet.compare.metrics import Basis, Metric, TrialValues
from joulefleet.compare.results import ArmSummary, MatchFacts, MetricComparison

BLOCKS_FOR_ORDER = 8
"""Fewest blocks for the caveat that one arm always ran first: in eight that happens by chance once in 128 cases."""


def compare_metric(match: Match, metric: Metric, terms: Terms) -> MetricComparison:
    """Return the comparison of the two arms of `match` by `metric`."""
    contrast = match.contrast
    basis = match_basis(match) if metric.name == "energy" else None
    expected = contrast.expected_ratio if metric.per_item else None
    null_ratio = 1.0 if expected is None else expected
    return MetricComparison(
        by=contrast.by,
        pair=contrast.name,
        kind=contrast.kind,
        setting=match.setting,
        machine=None if contrast.by == "machine" else match.first.machine,
        metric=metric.name,
        title=metric.title_of(match.first),
        unit=metric.unit,
        basis=basis,
        expected_ratio=expected,
        reference=_summary(contrast.reference_name, match.reference, metric, basis),
        other=_summary(contrast.other_name, match.other, metric, basis),
        ratio=estimate(match, metric, basis, terms, null_ratio=null_ratio),
        without_flagged=estimate(match, metric, basis, terms, null_ratio=null_ratio, flagged=False),
        flagged_blocks=_flagged(match),
        checks=checks_of(match, metric, basis, terms, null_ratio=null_ratio),
    )


def facts_of(match: Match) -> MatchFacts:
    """Return the circumstances of the trials of `match`, which are the same for every metric."""
    contrast, blocks = match.contrast, match.blocks
    arms = {contrast.reference_name: match.reference, contrast.other_name: match.other}
    return MatchFacts(
        by=contrast.by,
        pair=contrast.name,
        kind=contrast.kind,
        setting=match.setting,
        machine=match.first.machine or match.first.machine_id,
        reference=contrast.reference_name,
        other=contrast.other_name,
        reference_protocol=_protocol(match.reference),
        other_protocol=_protocol(match.other),
        flags={name: _flags(trials) for name, trials in arms.items()},
        ok={name: sum(trial.status == "ok" for trial in trials) for name, trials in arms.items()},
        paired=match.paired,
        interleaved=_interleaved(match.reference, match.other),
        unpaired_blocks=blocks.unpaired,
        unequal_blocks=blocks.unequal,
        other_libraries=blocks.other_libraries,
        excluded=len(blocks.excluded),
        always_first=_always_first(match),
        boots_differ=sum(first.boot_id != second.boot_id for first, second in blocks.pairs),
    )


def _always_first(match: Match) -> str | None:
    times = [
        (first.started_at, second.started_at)
        for first, second in match.blocks.pairs
        if first.started_at is not None and second.started_at is not None
    ]
    if len(times) < BLOCKS_FOR_ORDER:
        return None
    if all(first < second for first, second in times):
        return match.contrast.reference_name
    return match.contrast.other_name if all(first > second for first, second in times) else None


def _flagged(match: Match) -> int:
    blocks = match.blocks
    if match.paired:
        return sum(bool(first.flags or second.flags) for first, second in blocks.pairs)
    return sum(bool(trial.flags) for trial in (*blocks.reference, *blocks.other))


def _summary(level: str, trials: Sequence[TrialValues], metric: Metric, basis: Basis | None) -> ArmSummary:
    ok = [trial for trial in trials if trial.status == "ok"]
    values = [value for trial in ok if (value := metric.value(trial, basis)) is not None and math.isfinite(value)]
    return ArmSummary(
        level=level,
        protocol=_protocol(trials),
        ok=len(ok),
        failed=len(trials) - len(ok),
        flags=_flags(trials),
        median=median(values) if values else None,
        mean=mean(values) if values else None,
    )


def _protocol(trials: Sequence[TrialValues]) -> str | None:
    return trials[0].protocol if trials else None


def _flags(trials: Sequence[TrialValues]) -> dict[str, int]:
    return dict(sorted(Counter(flag for trial in trials if trial.status == "ok" for flag in trial.flags).items()))


def _interleaved(reference: Sequence[TrialValues], other: Sequence[TrialValues]) -> bool:
    times = [[trial.started_at for trial in arm if trial.started_at is not None] for arm in (reference, other)]
    return all(times) and min(times[0]) < max(times[1]) and min(times[1]) < max(times[0])
