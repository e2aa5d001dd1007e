"""The estimate of one match by one metric, and further analyses of the same trials as checks."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from joulefleet.compare.matching import Match
from joulefleet.compare.metrics import Basis, Metric, TrialValues, choose_basis
from joulefleet.compare.results import Checks
from joulefleet.stats import Estimate, paired_ratio, unpaired_ratio
from joulefleet.stats.effect_size import cliffs_delta, hedges_g
from joulefleet.stats.nonparametric import outliers, sign_flip_p
from joulefleet.stats.paired import log_ratios, why_no_ratio
from joulefleet.stats.stein import two_stage_ratio

Pair = tuple[TrialValues, TrialValues]
"""The trial of the reference and that of the other arm, of one block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms on which estimates are made, the same for all matches of a study."""

    finished: bool
    """Whether the study has all its trials: looking at p-values on the way raises the rate of false positives."""
    confidence: float
    """Level of the intervals, 0.95 for 95 %."""
    pilot_blocks: int | None = None
    """Number of pilot blocks whose variance decided how many blocks follow; None: their number was fixed before."""


def estimate(
    match: Match, metric: Metric, basis: Basis | None, terms: Terms, *, null_ratio: float = 1.0, flagged: bool = True
) -> Estimate:
    """Return the ratio other/reference of `match`: of its blocks where it has some, else of its trials.

    basis: where the joules come from; None but for energy. null_ratio: the ratio that the p-value is about.
    flagged: whether trials that carry a flag count.
    """
    blocks = match.blocks
    if match.paired:
        pairs = blocks.pairs if flagged else [pair for pair in blocks.pairs if not (pair[0].flags or pair[1].flags)]
        return _paired(pairs, metric, basis, terms, null_ratio)
    arms = [
        [metric.value(trial, basis) for trial in arm if flagged or not trial.flags]
        for arm in (blocks.reference, blocks.other)
    ]
    return unpaired_ratio(arms[0], arms[1], finished=terms.finished, confidence=terms.confidence, null_ratio=null_ratio)


def block_log_ratios(match: Match, metric: Metric, basis: Basis | None) -> list[float]:
    """Return the log ratios of the blocks that have one."""
    return log_ratios(*_values(match.blocks.pairs, metric, basis))


def log_ratios_by_machine(
    by_machine: Mapping[str, Match], metric: Metric, basis: Basis | None
) -> dict[str, dict[str, list[float]]]:
    """Return the blocks' log ratios by CPU model and machine, without machines that have none.

    A machine of unknown CPU model stands as a model of its own.
    """
    by_model: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for machine_id, match in by_machine.items():
        logs = block_log_ratios(match, metric, basis)
        if logs:
            by_model[match.first.cpu_model or machine_id][machine_id] = logs
    return by_model


def common_bases(match: Match) -> Counter[Basis]:
    """Return the bases on which both arms have joules, each with its number of blocks.

    Without blocks it is the number of trials in the smaller arm.
    """
    if match.paired:
        return Counter(basis for first, second in match.blocks.pairs for basis in first.joules.keys() & second.joules)
    arms = [Counter(basis for trial in arm for basis in trial.joules) for arm in (match.reference, match.other)]
    return arms[0] & arms[1]


def match_basis(match: Match) -> Basis | None:
    """Return the basis of one match; without any pair, the one that most of its trials have."""
    basis = choose_basis(common_bases(match))
    if basis is None and not match.blocks.pairs:
        trials = (*match.blocks.reference, *match.blocks.other)
        basis = choose_basis(Counter(basis for trial in trials for basis in trial.joules))
    return basis


def checks_of(match: Match, metric: Metric, basis: Basis | None, terms: Terms, *, null_ratio: float = 1.0) -> Checks:
    """Return the checks of `match`; without blocks, Cliff's delta alone. Arguments as of `estimate`."""
    blocks = match.blocks
    arms = [
        [value for trial in arm if (value := metric.value(trial, basis)) is not None and math.isfinite(value)]
        for arm in (blocks.reference, blocks.other)
    ]
    delta = cliffs_delta(*arms, confidence=terms.confidence) if all(arms) else None
    if not match.paired:
        return Checks(cliffs_delta=delta)
    usable = [pair for pair in blocks.pairs if why_no_ratio(*(metric.value(trial, basis) for trial in pair)) is None]
    logs = block_log_ratios(match, metric, basis)
    far = [usable[index] for index in outliers(logs)]
    kept = [pair for pair in blocks.pairs if pair not in far]
    every = sorted((*blocks.pairs, *blocks.excluded), key=lambda pair: (pair[0].block or 0, pair[0].round or 1))
    return Checks(
        sign_flip_p=sign_flip_p(logs, null_log_ratio=math.log(null_ratio)) if terms.finished else None,
        hedges_g=hedges_g(logs),
        cliffs_delta=delta,
        outliers=tuple(first.block for first, _ in far if first.block is not None),
        without_outliers=_paired(kept, metric, basis, terms, null_ratio) if far else None,
        with_excluded=_paired(every, metric, basis, terms, null_ratio) if blocks.excluded else None,
    )


def _paired(pairs: Sequence[Pair], metric: Metric, basis: Basis | None, terms: Terms, null_ratio: float) -> Estimate:
    reference, other = _values(pairs, metric, basis)
    if terms.pilot_blocks is None:
        return paired_ratio(
            reference, other, finished=terms.finished, confidence=terms.confidence, null_ratio=null_ratio
        )
    return two_stage_ratio(
        reference,
        other,
        pilot=sum((first.block or 0) <= terms.pilot_blocks for first, _ in pairs),
        finished=terms.finished,
        confidence=terms.confidence,
        null_ratio=null_ratio,
    )


def _values(
    pairs: Sequence[Pair], metric: Metric, basis: Basis | None
) -> tuple[list[float | None], list[float | None]]:
    return [metric.value(first, basis) for first, _ in pairs], [metric.value(second, basis) for _, second in pairs]
