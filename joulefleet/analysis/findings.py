"""One ratio over all machines: pooled where there are enough of them, and said in a sentence."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from joulefleet.analysis.comparison import Finding, MachineResult, Setting
from joulefleet.analysis.matching import Match
from joulefleet.analysis.metrics import PROVENANCES, Basis, Metric, TrialValues, bases_of
from joulefleet.analysis.statistics import Estimate, MachineEffect, Pooled, on_every_machine, paired_ratio, pool
from joulefleet.analysis.statistics.machines import MACHINES_FOR_MEAN
from joulefleet.analysis.study_records import ComparandRecord

_VERBS = {"energy": "needs", "time": "needs", "cpu_time": "needs", "cpu_use": "uses", "memory": "adds"}


def ratio_of(
    pairs: Sequence[tuple[TrialValues, TrialValues]],
    metric: Metric,
    basis: Basis | None,
    *,
    finished: bool,
    null_ratio: float = 1.0,
) -> Estimate:
    """The ratio student/teacher by `metric` over the blocks' `pairs`."""
    return paired_ratio(
        [metric.value(teacher, basis) for teacher, _ in pairs],
        [metric.value(student, basis) for _, student in pairs],
        finished=finished,
        null_ratio=null_ratio,
    )


def find(
    comparand: ComparandRecord, matches: Sequence[Match], metrics: Sequence[Metric], *, finished: bool
) -> Iterator[Finding]:
    """The findings of one pair: settings in the order of `matches`, metrics within."""
    settings: dict[Setting, dict[str, Match]] = defaultdict(dict)
    for match in matches:
        if match.teacher and match.student:
            # Of several protocols on a machine the newest counts.
            setting, machine_id = replace(match.setting, machine_id=None), str(match.setting.machine_id)
            known = settings[setting].get(machine_id)
            if known is None or known.first.started_at < match.first.started_at:
                settings[setting][machine_id] = match
    for setting, by_machine in settings.items():
        for metric in metrics:
            yield _finding(comparand, setting, by_machine, metric, finished=finished)


def _finding(
    comparand: ComparandRecord, setting: Setting, by_machine: Mapping[str, Match], metric: Metric, *, finished: bool
) -> Finding:
    pairs = {machine_id: match.blocks().pairs for machine_id, match in by_machine.items()}
    basis = common_basis(list(pairs.values())) if metric.name == "energy" else None
    results, left_out = [], {}
    for machine_id, match in by_machine.items():
        ratio = ratio_of(pairs[machine_id], metric, basis, finished=finished)
        if ratio.error is None:
            left_out[match.first.machine or machine_id] = str(ratio.interval_reason)
        else:
            results.append(
                MachineResult(
                    machine_id=machine_id,
                    machine=match.first.machine,
                    cpu_model=match.first.cpu_model,
                    ratio=ratio,
                )
            )
    pooled = _pooled(results, finished=finished) if len(by_machine) > 1 else None
    every = None if left_out else on_every_machine([(result.ratio.low, result.ratio.high) for result in results])
    finding = Finding(
        pair=comparand.name,
        kind=comparand.kind,
        setting=setting,
        metric=metric.name,
        title=metric.title,
        basis=basis,
        teacher=comparand.teacher,
        student=comparand.student,
        machines=tuple(results),
        left_out=left_out,
        pooled=pooled,
        on_every_machine=every,
        sentence="",
    )
    return replace(finding, sentence=_sentence(finding))


def common_basis(machines: Sequence[Sequence[tuple[TrialValues, TrialValues]]]) -> Basis | None:
    """The basis on which most machines have both arms: counted before modelled wherever a mean can be had."""
    common: Counter[Basis] = Counter()
    for pairs in machines:
        common.update({basis for teacher, student in pairs for basis in bases_of(teacher) & bases_of(student)})
    enough = min(MACHINES_FOR_MEAN, len(machines))
    return max(
        common,
        key=lambda basis: (common[basis] >= enough, -PROVENANCES.index(basis.provenance), common[basis], str(basis)),
        default=None,
    )


def _pooled(results: Sequence[MachineResult], *, finished: bool) -> Pooled:
    pooled = pool(
        [
            MachineEffect(
                machine=result.machine_id,
                cpu_model=result.cpu_model,
                log_ratio=math.log(result.ratio.ratio),
                variance=result.ratio.error**2,
            )
            for result in results
            if result.ratio.ratio is not None and result.ratio.error is not None
        ]
    )
    # As within a machine: looking at p-values on the way raises the rate of false positives.
    return pooled if finished else replace(pooled, p_value=None)


def _sentence(finding: Finding) -> str:
    results, pooled = finding.machines, finding.pooled
    said = f"On {finding.setting.task}, {finding.student} {_VERBS[finding.metric]} "
    what = f" of {finding.teacher}'s {_what(finding)}"
    if not results:
        return f"{said}an unknown part{what}: no machine has an interval."
    if pooled is None:
        return f"{said}{_interval(results[0].ratio)}{what}, on {results[0].machine} alone."
    if pooled.ratio is None or pooled.low is None or pooled.high is None:
        each = " and ".join(f"{_interval(result.ratio)} on {result.machine}" for result in results)
        return f"{said}{each}{what}."
    models = "" if pooled.unit == "machine" else f" of {pooled.units} CPU models, each counted once"
    every = finding.on_every_machine
    where = f"on every one of {len(results)} machines" if every else f"in the mean of {len(results)} machines"
    return (
        f"{said}{_digits(pooled.ratio)} [{_digits(pooled.low)}, {_digits(pooled.high)}]{what}, {where}{models}"
        f"{_exceptions(results) if every is False else ''}."
    )


def _what(finding: Finding) -> str:
    title, basis = finding.title.split(" (")[0], finding.basis
    if basis is None:
        return title
    words = [word for word in (basis.scope, None if basis.provenance == "measured" else basis.provenance) if word]
    return " ".join([*words, title])


def _exceptions(results: Sequence[MachineResult]) -> str:
    """Which machines do not say what most say."""
    below = [result for result in results if (result.ratio.high or math.inf) < 1]
    above = [result for result in results if (result.ratio.low or 0.0) > 1]
    most = max(below, above, key=len)
    others = [f"{result.machine}: {_interval(result.ratio)}" for result in results if result not in most]
    if not most:
        return ", whose own intervals all hold 1" if not (below or above) else ""
    shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
    return f", but not on each of them ({shown})"


def _interval(estimate: Estimate) -> str:
    if estimate.ratio is None or estimate.low is None or estimate.high is None:
        return "an unknown part"
    return f"{_digits(estimate.ratio)} [{_digits(estimate.low)}, {_digits(estimate.high)}]"


def _digits(ratio: float) -> str:
    """Three significant digits from 0.1 on, as a table of ratios has."""
    return f"{ratio:.3f}" if 0.0995 <= ratio < 10 else f"{ratio:.3g}"
