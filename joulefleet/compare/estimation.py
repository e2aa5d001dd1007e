"""The estimate of one match by one metric, and the same trials looked at in other ways."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from joulefleet.compare.matching import Match
from joulefleet.compare.metrics import Basis, Metric, TrialValues, choose_basis
from joulefleet.compare.results import Checks
from joulefleet.stats import Estimate, paired_ratio, unpaired_ratio
from joulefleet.stats.effect_size import cliffs_delta, hedges_g
from joulefleet.stats.outliers import outliers
from joulefleet.stats.paired import log_ratios
from joulefleet.stats.sign_flip import sign_flip_p
from joulefleet.stats.stein import two_stage_ratio

Pairs = Sequence[tuple[TrialValues, TrialValues]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How estimates are made."""

    finished: bool
    """Whether the study has all its trials: looking at p-values on the way raises the rate of false positives."""
    confidence: float
    """Level of the intervals."""
    pilot_blocks: int | None = None
    """Blocks were added after so many until the study was precise; None: their number was fixed before."""


def estimate(
    match: Match, metric: Metric, basis: Basis | None, terms: Terms, *, null_ratio: float = 1.0, flagged: bool = True
) -> Estimate:
    """The ratio other/reference of `match`; without `flagged`, of what carries no flag."""
    blocks = match.blocks
    if match.paired:
        pairs = blocks.pairs if flagged else [pair for pair in blocks.pairs if not (pair[0].flags or pair[1].flags)]
        return paired(pairs, metric, basis, terms, null_ratio=null_ratio)
    arms = [
        [metric.value(trial, basis) for trial in arm if flagged or not trial.flags]
        for arm in (blocks.reference, blocks.other)
    ]
    return unpaired_ratio(arms[0], arms[1], finished=terms.finished, confidence=terms.confidence, null_ratio=null_ratio)


def paired(pairs: Pairs, metric: Metric, basis: Basis | None, terms: Terms, *, null_ratio: float = 1.0) -> Estimate:
    """The ratio other/reference over `pairs`, each of one block."""
    arms = ([metric.value(first, basis) for first, _ in pairs], [metric.value(second, basis) for _, second in pairs])
    if terms.pilot_blocks is None:
        return paired_ratio(*arms, finished=terms.finished, confidence=terms.confidence, null_ratio=null_ratio)
    return two_stage_ratio(
        *arms,
        pilot=sum((first.block or 0) <= terms.pilot_blocks for first, _ in pairs),
        finished=terms.finished,
        confidence=terms.confidence,
        null_ratio=null_ratio,
    )


def logs_of(match: Match, metric: Metric, basis: Basis | None) -> list[float]:
    """The log ratios of the blocks that have one."""
    pairs = match.blocks.pairs
    return log_ratios(
        [metric.value(first, basis) for first, _ in pairs], [metric.value(second, basis) for _, second in pairs]
    )


def common_joules(match: Match) -> Counter[Basis]:
    """On which bases both arms have joules, and in how many blocks (trials of the smaller arm, without blocks)."""
    common: Counter[Basis] = Counter()
    if match.paired:
        for first, second in match.blocks.pairs:
            common.update(first.joules.keys() & second.joules.keys())
        return common
    arms = [Counter(basis for trial in arm for basis in trial.joules) for arm in (match.reference, match.other)]
    return arms[0] & arms[1]


def basis_of(match: Match) -> Basis | None:
    """The basis of a line. Without any pair: the one that most of whatever trials there are have."""
    chosen = choose_basis(common_joules(match))
    if chosen is None and not match.blocks.pairs:
        alone = (*match.blocks.reference, *match.blocks.other)
        chosen = choose_basis(Counter(basis for trial in alone for basis in trial.joules))
    return chosen


def checks_of(match: Match, metric: Metric, basis: Basis | None, terms: Terms, *, null_ratio: float = 1.0) -> Checks:
    """The same trials looked at in other ways."""
    arms = [
        [value for trial in arm if (value := metric.value(trial, basis)) is not None and math.isfinite(value)]
        for arm in (match.blocks.reference, match.blocks.other)
    ]
    delta = cliffs_delta(*arms, confidence=terms.confidence) if all(arms) else None
    if not match.paired:
        return Checks(
            sign_flip_p=None,
            hedges_g=None,
            cliffs_delta=delta,
            outliers=(),
            without_outliers=None,
            with_excluded=None,
        )
    logs, far = logs_of(match, metric, basis), _outliers(match, metric, basis)
    kept = [pair for pair in match.blocks.pairs if pair not in far]
    every = sorted(
        (*match.blocks.pairs, *match.blocks.excluded), key=lambda pair: (pair[0].block or 0, pair[0].round or 1)
    )
    return Checks(
        sign_flip_p=_sign_flip(logs, terms, null_ratio),
        hedges_g=hedges_g(logs),
        cliffs_delta=delta,
        outliers=tuple(first.block for first, _ in far if first.block is not None),
        without_outliers=paired(kept, metric, basis, terms, null_ratio=null_ratio) if far else None,
        with_excluded=paired(every, metric, basis, terms, null_ratio=null_ratio) if match.blocks.excluded else None,
    )


def _sign_flip(logs: Sequence[float], terms: Terms, null_ratio: float) -> float | None:
    return sign_flip_p(logs, null_log_ratio=math.log(null_ratio)) if terms.finished else None


def _outliers(match: Match, metric: Metric, basis: Basis | None) -> list[tuple[TrialValues, TrialValues]]:
    having = [pair for pair in match.blocks.pairs if all(_positive(metric.value(trial, basis)) for trial in pair)]
    logs = log_ratios(
        [metric.value(first, basis) for first, _ in having], [metric.value(second, basis) for _, second in having]
    )
    return [having[index] for index in outliers(logs)]


def _positive(value: float | None) -> bool:
    return value is not None and 0 < value < math.inf
