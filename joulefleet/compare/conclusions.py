"""The sentence that states a finding so that it can be quoted: the ratio, its interval and the machines."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from joulefleet.compare.contrasts import COLUMN
from joulefleet.compare.formatting import (
    basis_text,
    estimate_text,
    interval_text,
    p_text,
    percent_text,
    ratio_text,
    short_title,
)
from joulefleet.compare.results import MachineResult, PooledFinding, Within
from joulefleet.stats import Estimate

_VERBS = {"energy": "needs", "time": "needs", "cpu_time": "needs", "cpu_use": "uses", "memory": "adds"}

_PHRASES = {
    "environment": "in {}",
    "machine_id": "on {}",
    "task": "on {}",
    "batch_size": "with batch size {}",
    "threads_requested": "with {} threads",
    "dtype": "in {}",
    "regime": "in the {} regime",
    "weights_source": "with {} weights",
    "imported_levels": "at {}",
}
"""The phrase for a level of each field of a setting."""

_NAMED_WHERE_VARIED = tuple(name for name in _PHRASES if name not in {"machine_id", "task"})
"""Fields that a sentence names only where they vary. It always names the task, and its machines at the end."""

_EXCEPTIONS_NAMED = 3


def varied_fields(findings: Sequence[PooledFinding]) -> set[str]:
    """Return the fields of the settings that differ between `findings`, of those that a sentence may name."""
    return {name for name in _NAMED_WHERE_VARIED if len({getattr(finding.setting, name) for finding in findings}) > 1}


def sentence_of(finding: PooledFinding, varied: Collection[str] = ()) -> str:
    """Return the sentence of `finding`; it names the levels of the fields that are `varied` in the study."""
    start, quantity = _subject(finding, varied)
    results, pooled = finding.machines, finding.pooled
    if not results:
        return f"{start} a part {quantity} for which there is no interval: {_no_interval(finding)}."
    if finding.by == "machine":
        return f"{start} {_part(results[0].ratio)} {quantity}{_p(finding.p_adjusted, finding)}."
    if pooled is None:
        return (
            f"{start} {_part(results[0].ratio)} {quantity}, on {results[0].machine} alone"
            f"{_p(finding.p_adjusted, finding)}{_within(finding.within)}."
        )
    if pooled.ratio is None or pooled.low is None or pooled.high is None:
        each = " and ".join(
            f"{_part(result.ratio)} on {result.machine}{_p(result.p_adjusted, finding)}" for result in results
        )
        return f"{start} {each} {quantity}."
    models = "" if pooled.unit == "machine" else f" of {pooled.units} CPU models, each counted once"
    less = (results[0].ratio.high or math.inf) < 1
    each = f", and {'less' if less else 'more'} on every one of them" if finding.on_every_machine else ""
    exceptions = _exceptions(results) if finding.on_every_machine is False else ""
    return (
        f"{start} {ratio_text(pooled.ratio)} {interval_text(pooled.low, pooled.high)} {quantity}, in the mean of "
        f"{len(results)} machines{models}{each}{exceptions}{_p(finding.p_adjusted, finding)}{_within(finding.within)}."
    )


def _subject(finding: PooledFinding, varied: Collection[str]) -> tuple[str, str]:
    """Return how the sentence begins, and the quantity of which the ratio is a part."""
    verb, quantity = _VERBS.get(finding.metric, "has"), _quantity(finding)
    setting = finding.setting
    where = [] if setting.task is None else [_PHRASES["task"].format(setting.task)]
    where += [
        _PHRASES[name].format(level)
        for name in _NAMED_WHERE_VARIED
        if name in varied and (level := getattr(setting, name))
    ]
    start = " ".join(where)
    start = f"{start[0].upper()}{start[1:]}, " if start else ""
    if finding.by == "model":
        return f"{start}{finding.other} {verb}", f"of {finding.reference}'s {quantity}"
    phrase = _PHRASES[COLUMN[finding.by]]
    return (
        f"{start}{setting.model} {phrase.format(finding.other)} {verb}",
        f"of its {quantity} {phrase.format(finding.reference)}",
    )


def _quantity(finding: PooledFinding) -> str:
    return f"{basis_text(finding.basis)} {short_title(finding.title)}".lstrip()


def _part(estimate: Estimate) -> str:
    return "an unknown part" if estimate.low is None else estimate_text(estimate)


def _no_interval(finding: PooledFinding) -> str:
    reasons = set(finding.left_out.values())
    return reasons.pop() if len(reasons) == 1 else "no machine has an interval"


def _p(p_value: float | None, finding: PooledFinding) -> str:
    if p_value is None or finding.role == "exploratory":
        return ""
    return (
        f" ({p_text(p_value)} by Holm over {finding.family_size})"
        if finding.family_size > 1
        else f" ({p_text(p_value)})"
    )


def _within(tests: Sequence[Within]) -> str:
    texts = []
    for within in tests:
        percent = percent_text(within.test.margin - 1, digits=3)
        if within.kind == "non-inferior":
            texts.append(f"{'at most' if within.holds else 'not shown to be at most'} {percent} more")
        else:
            texts.append(f"{'equivalent' if within.holds else 'not shown to be equivalent'} within {percent}")
    return f"; {' and '.join(texts)}" if texts else ""


def _exceptions(results: Sequence[MachineResult]) -> str:
    """Return the machines whose interval is not on the side of 1 on which most intervals are."""
    below = [result for result in results if (result.ratio.high or math.inf) < 1]
    above = [result for result in results if (result.ratio.low or 0.0) > 1]
    majority = max(below, above, key=len)
    if not majority:
        return ", whose own intervals all contain 1"
    others = [f"{result.machine}: {_part(result.ratio)}" for result in results if result not in majority]
    more = f" and {len(others) - _EXCEPTIONS_NAMED} more" if len(others) > _EXCEPTIONS_NAMED else ""
    return f", but not on each of them ({', '.join(others[:_EXCEPTIONS_NAMED])}{more})"
