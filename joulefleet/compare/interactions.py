"""Interactions: whether the ratio of a pair depends on another factor, as its ratio at one level over that at another.

Both ratios are of one block, so an interaction is a paired comparison like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean, median

from joulefleet.compare.estimation import Pair, Terms, match_basis
from joulefleet.compare.matching import Match, newest_by
from joulefleet.compare.metrics import Basis, Metric, TrialValues
from joulefleet.compare.results import ArmSummary, Checks, MetricComparison, Setting
from joulefleet.stats import paired_ratio
from joulefleet.stats.effect_size import hedges_g
from joulefleet.stats.paired import log_ratios
from joulefleet.store.records import StudyRecord

_BlockKey = tuple[int | None, int | None]


def find_interactions(
    record: StudyRecord, matches: Sequence[Match], metrics: Sequence[Metric], terms: Terms
) -> Iterator[MetricComparison]:
    """Yield the interaction of each pair of the study with each contrast in `matches`, by each metric.

    `matches` compare two levels of another factor within each model; a pair needs those of both its models.
    """
    settings = newest_by("model", matches)
    for comparand in record.comparands:
        for (_, setting), by_model in settings.items():
            teacher, student = by_model.get(comparand.teacher), by_model.get(comparand.student)
            if comparand.kind == "distillation" and teacher is not None and student is not None:
                for metric in metrics:
                    yield _interaction(comparand.name, setting, (teacher, student), metric, terms)


def _interaction(
    pair: str, setting: Setting, models: tuple[Match, Match], metric: Metric, terms: Terms
) -> MetricComparison:
    teacher, student = models
    contrast = teacher.contrast
    basis = match_basis(teacher) if metric.name == "energy" else None
    first, second = _by_block(teacher), _by_block(student)
    shared = sorted(first.keys() & second.keys(), key=lambda key: (key[0] or 0, key[1] or 0))
    ratios = [[_ratio(first[key][arm], second[key][arm], metric, basis) for key in shared] for arm in (0, 1)]
    unflagged = [
        index for index, key in enumerate(shared) if not any(trial.flags for trial in (*first[key], *second[key]))
    ]
    return MetricComparison(
        by=contrast.by,
        pair=pair,
        kind="interaction",
        setting=setting,
        machine=teacher.first.machine,
        metric=metric.name,
        title=metric.title_of(teacher.first),
        unit="",
        basis=basis,
        expected_ratio=None,
        reference=_summary(contrast.reference_name, ratios[0]),
        other=_summary(contrast.other_name, ratios[1]),
        ratio=paired_ratio(*ratios, finished=terms.finished, confidence=terms.confidence),
        without_flagged=paired_ratio(
            *([arm[index] for index in unflagged] for arm in ratios),
            finished=terms.finished,
            confidence=terms.confidence,
        ),
        flagged_blocks=len(shared) - len(unflagged),
        checks=Checks(hedges_g=hedges_g(log_ratios(*ratios))),
    )


def _by_block(match: Match) -> Mapping[_BlockKey, Pair]:
    return {(pair[0].block, pair[0].round): pair for pair in match.blocks.pairs}


def _ratio(teacher: TrialValues, student: TrialValues, metric: Metric, basis: Basis | None) -> float | None:
    values = metric.value(teacher, basis), metric.value(student, basis)
    return None if values[0] is None or values[1] is None or values[0] <= 0 else values[1] / values[0]


def _summary(level: str, ratios: Sequence[float | None]) -> ArmSummary:
    known = [ratio for ratio in ratios if ratio is not None]
    return ArmSummary(
        level=level,
        protocol=None,
        ok=len(known),
        failed=0,
        flags={},
        median=median(known) if known else None,
        mean=mean(known) if known else None,
    )
