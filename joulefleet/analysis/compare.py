"""Teacher against student: every pair, task, setting and machine, by every metric.

A line pools blocks of one machine and one protocol of each arm, never more. Several machines give
several lines. The regime, the origin of the weights and the protocols are part of what a line is,
so trials that differ in them cannot meet in one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from statistics import median

from joulefleet.analysis.comparison import Arm, Comparison, Finding, Line
from joulefleet.analysis.findings import find, ratio_of
from joulefleet.analysis.matching import Blocks, Match, checked, matches
from joulefleet.analysis.metrics import METRICS, Basis, Metric, TrialValues, choose_basis, load_trials
from joulefleet.analysis.progress import chosen, progress
from joulefleet.analysis.remarks import remarks
from joulefleet.analysis.store import Store
from joulefleet.analysis.study_records import ComparandRecord, newest


def compare(
    store: Store,
    *,
    study: str | None = None,
    pair: str | None = None,
    metrics: Collection[str] | None = None,
) -> Comparison:
    """Compare every pair of `study` (by default of each study), or `pair` alone, by `metrics` (by default all).

    Raises QueryError where the store has no such study or pair, or where there is no such metric.
    """
    records = chosen(newest(store.studies), study)
    comparands = [(record, comparand) for record in records for comparand in record.comparands]
    checked("pair in these studies", [pair] if pair else None, [comparand.name for _, comparand in comparands])
    checked("metric", metrics, [metric.name for metric in METRICS])
    wanted = [metric for metric in METRICS if metrics is None or metric.name in metrics]
    states = {state.study: state for state in progress(store, study)}
    trials = {record.name: load_trials(store, record.name) for record in records}
    lines: list[Line] = []
    findings: list[Finding] = []
    for record, comparand in comparands:
        if pair in (None, comparand.name):
            finished = states[record.name].finished
            found = list(matches(record, comparand, trials[record.name]))
            lines += [_line(comparand, match, metric, finished=finished) for match in found for metric in wanted]
            findings += find(comparand, found, wanted, finished=finished)
    proofs = tuple(line for line in lines if line.kind != "distillation")
    rest = tuple(line for line in lines if line.kind == "distillation")
    shown = tuple(states[record.name] for record in records)
    return Comparison(
        proofs=proofs,
        lines=rest,
        findings=tuple(finding for finding in findings if finding.kind == "distillation"),
        remarks=remarks(proofs, rest, shown, trials),
        progress=shown,
    )


def _line(comparand: ComparandRecord, match: Match, metric: Metric, *, finished: bool) -> Line:
    blocks = match.blocks()
    basis = _basis(blocks) if metric.name == "energy" else None
    marked = [bool(first.marks or second.marks) for first, second in blocks.pairs]
    unmarked = [pair for pair, mark in zip(blocks.pairs, marked, strict=True) if not mark]
    expected = comparand.expected_ratio if metric.per_item else None
    null_ratio = 1.0 if expected is None else expected
    return Line(
        pair=comparand.name,
        kind=comparand.kind,
        setting=match.setting,
        machine=match.first.machine,
        metric=metric.name,
        title=metric.title,
        unit=metric.unit,
        basis=basis,
        expected_ratio=expected,
        teacher=_arm(comparand.teacher, match.teacher, metric, basis),
        student=_arm(comparand.student, match.student, metric, basis),
        ratio=ratio_of(blocks.pairs, metric, basis, finished=finished, null_ratio=null_ratio),
        without_marked=ratio_of(unmarked, metric, basis, finished=finished, null_ratio=null_ratio),
        marked_blocks=sum(marked),
        unpaired_blocks=blocks.unpaired,
        unequal_blocks=blocks.unequal,
        boots_differ=sum(first.boot_id != second.boot_id for first, second in blocks.pairs),
    )


def _basis(blocks: Blocks) -> Basis | None:
    """The basis of the line. Without any pair: the one that most of whatever trials there are have."""
    if blocks.pairs:
        return choose_basis(blocks.pairs)
    return choose_basis([(trial, trial) for trial in (*blocks.teacher, *blocks.student)])


def _arm(model: str, trials: Sequence[TrialValues], metric: Metric, basis: Basis | None) -> Arm:
    ok = [trial for trial in trials if trial.status == "ok"]
    values = [value for trial in ok if (value := metric.value(trial, basis)) is not None]
    return Arm(
        model=model,
        protocol=trials[0].protocol if trials else None,
        ok=len(ok),
        failed=len(trials) - len(ok),
        marks=dict(sorted(Counter(mark for trial in ok for mark in trial.marks).items())),
        median=median(values) if values else None,
    )
