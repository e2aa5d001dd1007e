"""Whether what a student saves depends on another factor: the pair's ratio at one level against that at another.

Both ratios are of one block, so the interaction is a paired comparison as any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import mean, median

from joulefleet.compare.estimation import Terms, basis_of
from joulefleet.compare.matching import Match, newest_apart
from joulefleet.compare.metrics import Basis, Metric, TrialValues
from joulefleet.compare.results import ArmSummary, Checks, MetricComparison, Setting
from joulefleet.stats import paired_ratio
from joulefleet.stats.effect_size import hedges_g
from joulefleet.stats.paired import log_ratios
from joulefleet.store.records import StudyRecord

_BlockKey = tuple[int | None, int | None]


def interactions(
    record: StudyRecord, matches: Sequence[Match], metrics: Sequence[Metric], terms: Terms
) -> Iterator[MetricComparison]:
    """A line for each pair of the study whose two models stand in `matches` of one contrast and setting."""
    settings = newest_apart(matches, "model")
    for comparand in record.comparands:
        for (_, setting), by_model in settings.items():
            teacher, student = by_model.get(comparand.teacher), by_model.get(comparand.student)
            if comparand.kind == "distillation" and teacher is not None and student is not None:
                for metric in metrics:
                    yield _line(comparand.name, setting, (teacher, student), metric, terms)


def _line(pair: str, setting: Setting, models: tuple[Match, Match], metric: Metric, terms: Terms) -> MetricComparison:
    teacher, student = models
    contrast = teacher.contrast
    basis = basis_of(teacher) if metric.name == "energy" else None
    first, second = _by_block(teacher), _by_block(student)
    shared = sorted(first.keys() & second.keys(), key=lambda key: (key[0] or 0, key[1] or 0))
    ratios = [[_ratio(first[key][level], second[key][level], metric, basis) for key in shared] for level in (0, 1)]
    unflagged = [
        place for place, key in enumerate(shared) if not any(trial.flags for trial in (*first[key], *second[key]))
    ]
    none = Checks(
        sign_flip_p=None, hedges_g=None, cliffs_delta=None, outliers=(), without_outliers=None, with_excluded=None
    )
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
        reference=_arm(contrast.reference_name, ratios[0]),
        other=_arm(contrast.other_name, ratios[1]),
        ratio=paired_ratio(*ratios, finished=terms.finished, confidence=terms.confidence),
        without_flagged=paired_ratio(
            *([of[place] for place in unflagged] for of in ratios),
            finished=terms.finished,
            confidence=terms.confidence,
        ),
        flagged_blocks=len(shared) - len(unflagged),
        checks=replace(none, hedges_g=hedges_g(log_ratios(*ratios))),
    )


def _by_block(match: Match) -> Mapping[_BlockKey, tuple[TrialValues, TrialValues]]:
    return {(pair[0].block, pair[0].round): pair for pair in match.blocks.pairs}


def _ratio(teacher: TrialValues, student: TrialValues, metric: Metric, basis: Basis | None) -> float | None:
    values = metric.value(teacher, basis), metric.value(student, basis)
    return None if values[0] is None or values[1] is None or values[0] <= 0 else values[1] / values[0]


def _arm(level: str, ratios: Sequence[float | None]) -> ArmSummary:
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
