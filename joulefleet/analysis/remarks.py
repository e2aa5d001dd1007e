"""The sentences that belong under a comparison. They warn; they never change or withhold a number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from joulefleet.analysis.comparison import Arm, Line, Remark
from joulefleet.analysis.metrics import TrialValues
from joulefleet.analysis.progress import StudyProgress
from joulefleet.analysis.statistics.paired import BLOCKS_FOR_TEST, Estimate

PLAUSIBLE_TIME_RATIO = (0.35, 0.85)
"""Half the layers at batch 1 on a CPU give about half the time; further off, something else was measured."""


def remarks(
    proofs: Sequence[Line],
    lines: Sequence[Line],
    states: Sequence[StudyProgress],
    trials: Mapping[str, Sequence[TrialValues]],
) -> tuple[Remark, ...]:
    """Every remark, alarms first. `trials` are all trials of each study, by its name."""
    every = [*proofs, *lines]
    found = [
        *_proofs(proofs),
        *_implausible(lines),
        *_unfinished(states),
        *_failures(trials),
        *_blocks_lost(every),
        *_marks(every),
        *_energy(every, trials),
        *_regime(every),
        *_weights(every, trials),
        *_separate(every),
        *_few_blocks(every),
        *_uncorrected(every),
    ]
    return tuple(sorted(found, key=lambda remark: ("alarm", "warning", "note").index(remark.level)))


def _where(line: Line) -> str:
    return f"{line.setting.study}: {line.title} of {line.student.model} on {line.setting.task} ({line.machine})"


def _interval(estimate: Estimate) -> str:
    if estimate.ratio is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.ratio:.3f}"
    return f"{estimate.ratio:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _proofs(proofs: Sequence[Line]) -> Iterator[Remark]:
    for line in proofs:
        if line.proof_holds is False:
            yield Remark(
                level="alarm",
                text=f"PROOF FAILED: {_where(line)} is {_interval(line.ratio)} of {line.teacher.model}'s, and the "
                f"truth is {line.expected_ratio:.2f}. Do not trust the other ratios before this is explained "
                f"(1 proof in {round(1 / (1 - line.ratio.confidence))} fails by chance).",
            )
        elif line.proof_holds is None and line.expected_ratio is not None:
            yield Remark(level="note", text=f"Not proven yet: {_where(line)}: {line.ratio.interval_reason}.")


def _implausible(lines: Sequence[Line]) -> Iterator[Remark]:
    low, high = PLAUSIBLE_TIME_RATIO
    for line in lines:
        ratio = line.ratio.ratio
        if line.metric == "time" and ratio is not None and not low <= ratio <= high:
            yield Remark(
                level="warning",
                text=f"{_where(line)} is {ratio:.3f} of {line.teacher.model}'s, outside {low} to {high}: "
                "suspect the set-up before the model.",
            )


def _unfinished(states: Sequence[StudyProgress]) -> Iterator[Remark]:
    for state in states:
        if not state.finished:
            yield Remark(
                level="note",
                text=f"{state.study} is unfinished ({state.missing} of {state.planned} trials missing): "
                "estimates, no p-values.",
            )


def _failures(trials: Mapping[str, Sequence[TrialValues]]) -> Iterator[Remark]:
    for study, rows in trials.items():
        reasons = Counter(row.reason or "unknown" for row in rows if row.status != "ok")
        if reasons:
            yield Remark(
                level="warning",
                text=f"{study}: {_count(reasons.total(), 'trial')} failed ({_listed(dict(reasons.most_common()))}); "
                "their blocks lack an arm.",
            )


def _blocks_lost(lines: Sequence[Line]) -> Iterator[Remark]:
    reasons: Counter[str] = Counter()
    for line in lines:
        for reason, count in line.ratio.exclusions.items():
            reasons[f"{line.title}, {reason}"] += count
    if reasons:
        yield Remark(level="warning", text=f"Blocks left out: {_listed(reasons)}.")
    once = _one_a_match(lines)
    unequal, boots = sum(line.unequal_blocks for line in once), sum(line.boots_differ for line in once)
    if unequal:
        yield Remark(
            level="warning",
            text=f"{_count(unequal, 'block')} left out: the two trials did unequal work (items or threads differ).",
        )
    if boots:
        yield Remark(level="warning", text=f"{_count(boots, 'block')} pair trials of different boots of the machine.")


def _marks(lines: Sequence[Line]) -> Iterator[Remark]:
    marks: dict[tuple[str, str], Arm] = {}
    for line in _one_a_match(lines):
        for arm in (line.teacher, line.student):
            if arm.marks:
                marks[line.setting.study, f"{arm.model}/{line.setting.task} on {line.machine}"] = arm
    for study in dict.fromkeys(study for study, _ in marks):
        arms = [f"{where}: {_listed(arm.marks)} of {arm.ok}" for (of, where), arm in marks.items() if of == study]
        yield Remark(
            level="warning",
            text=f"{study}: marked trials are kept, and each ratio is also given without them. {'; '.join(arms)}.",
        )


def _energy(lines: Sequence[Line], trials: Mapping[str, Sequence[TrialValues]]) -> Iterator[Remark]:
    bases = {line.basis for line in lines if line.basis is not None}
    scopes = sorted({str(basis.scope) for basis in bases if basis.provenance == "measured"})
    if scopes:
        yield Remark(
            level="note",
            text=f"Energy is what the CPU's own counters say ({', '.join(scopes)}), not energy at the wall.",
        )
    if any(basis.provenance == "simulated" for basis in bases):
        roots = sorted(
            {str(row.sysfs_root) for of in trials.values() for row in of if row.energy_provenance == "simulated"}
        )
        yield Remark(
            level="warning",
            text=f"Simulated energy was not measured on these machines: its counters were read from files under "
            f"{', '.join(roots)} that are not the running kernel's.",
        )
    formulas = sorted({str(basis.source) for basis in bases if basis.provenance == "modelled"})
    if formulas:
        reasons = Counter(
            row.energy_reason for rows in trials.values() for row in rows if row.energy_reason and row.status == "ok"
        )
        why = f" Not measured, because: {reasons.most_common(1)[0][0]}." if reasons else ""
        yield Remark(level="note", text=f"Modelled energy is computed, not measured: {'; '.join(formulas)}.{why}")


def _regime(lines: Sequence[Line]) -> Iterator[Remark]:
    for study in dict.fromkeys(line.setting.study for line in lines if line.setting.regime == "burst"):
        yield Remark(
            level="note",
            text=f"{study} ran in the burst regime: a demonstration. Clocks and temperature were not steady.",
        )


def _weights(lines: Sequence[Line], trials: Mapping[str, Sequence[TrialValues]]) -> Iterator[Remark]:
    for study in dict.fromkeys(line.setting.study for line in lines if line.setting.weights_source == "seeded"):
        reasons = Counter(
            row.quality_reason
            for row in trials[study]
            if row.weights_source == "seeded" and row.quality is None and row.quality_reason
        )
        why = reasons.most_common(1)[0][0] if reasons else "weights drawn from a seed answer at random"
        yield Remark(
            level="note",
            text=f"{study} has seeded weights: cost is real, quality is null because {why.rstrip('.')}.",
        )


def _separate(lines: Sequence[Line]) -> Iterator[Remark]:
    once = _one_a_match(lines)
    machines = {line.setting.machine_id for line in once}
    if len(machines) > 1:
        yield Remark(
            level="note",
            text=f"{len(machines)} machines: each has lines of its own, and counts once in what is said of all.",
        )
    twins = Counter((line.pair, line.setting) for line in once)
    several = sum(1 for count in twins.values() if count > 1)
    if several:
        yield Remark(
            level="warning",
            text=f"{_count(several, 'comparison')} were measured under several protocols (the study changed "
            "between runs): each protocol has a line of its own.",
        )


def _few_blocks(lines: Sequence[Line]) -> Iterator[Remark]:
    most = max((line.ratio.n_blocks for line in lines), default=BLOCKS_FOR_TEST)
    if most < BLOCKS_FOR_TEST:
        yield Remark(
            level="note",
            text=f"{_count(most, 'block')}: too few for a p-value, which needs {BLOCKS_FOR_TEST}.",
        )


def _uncorrected(lines: Sequence[Line]) -> Iterator[Remark]:
    tested = sum(1 for line in lines if line.ratio.p_value is not None)
    if tested > 1:
        yield Remark(
            level="note",
            text=f"Intervals and p-values are of one line each, not corrected for their number ({tested}): "
            "read them as exploratory.",
        )


def _one_a_match(lines: Sequence[Line]) -> list[Line]:
    """One line for all metrics of the same trials."""
    first: dict[object, Line] = {}
    for line in lines:
        first.setdefault((line.pair, line.setting, line.teacher.protocol, line.student.protocol), line)
    return list(first.values())


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ×{count}" for name, count in counts.items())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
