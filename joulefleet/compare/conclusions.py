"""A finding as a sentence that one can quote: who, what, how much with its interval, and on which machines."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from joulefleet.compare.results import MachineResult, PooledFinding, Within
from joulefleet.stats import Estimate

_VERBS = {"energy": "needs", "time": "needs", "cpu_time": "needs", "cpu_use": "uses", "memory": "adds"}
_AT = {
    "environment": "in {}",
    "machine": "on {}",
    "task": "on {}",
    "batch_size": "with batch size {}",
    "threads": "with {} threads",
    "dtype": "in {}",
}


_HELD = {
    "environment": "in {}",
    "batch_size": "with batch size {}",
    "threads_asked": "with {} threads",
    "dtype": "in {}",
    "regime": "in the {} regime",
    "weights_source": "with {} weights",
    "imported_levels": "at {}",
}
"""The fields of a setting that a sentence names where the study varies them."""


def varied(findings: Sequence[PooledFinding]) -> set[str]:
    """The fields of their settings that are not the same in all `findings`."""
    return {name for name in _HELD if len({getattr(finding.setting, name) for finding in findings}) > 1}


def sentence_of(finding: PooledFinding, varied: Collection[str] = ()) -> str:
    """The sentence; it names the levels of the factors that are `varied` in the study."""
    said, what = _subject(finding, varied)
    results, pooled = finding.machines, finding.pooled
    if not results:
        return f"{said} a part {what} that has no interval: {_no_interval(finding)}."
    if finding.by == "machine":
        return f"{said} {_interval(results[0].ratio)} {what}{_p(finding.p_adjusted, finding)}."
    if pooled is None:
        return (
            f"{said} {_interval(results[0].ratio)} {what}, on {results[0].machine} alone"
            f"{_p(finding.p_adjusted, finding)}{_within(finding.within)}."
        )
    if pooled.ratio is None or pooled.low is None or pooled.high is None:
        each = " and ".join(
            f"{_interval(result.ratio)} on {result.machine}{_p(result.p_adjusted, finding)}" for result in results
        )
        return f"{said} {each} {what}."
    models = "" if pooled.unit == "machine" else f" of {pooled.units} CPU models, each counted once"
    every, less = finding.on_every_machine, (results[0].ratio.high or math.inf) < 1
    each = f", and {'less' if less else 'more'} on every one of them" if every else ""
    return (
        f"{said} {digits(pooled.ratio)} [{digits(pooled.low)}, {digits(pooled.high)}] {what}, in the mean of "
        f"{len(results)} machines{models}{each}{_exceptions(results) if every is False else ''}"
        f"{_p(finding.p_adjusted, finding)}{_within(finding.within)}."
    )


def percent_of(variance: float) -> str:
    """The standard deviation of a ratio in per cent, from the variance of its logarithm."""
    return f"{100 * math.expm1(math.sqrt(variance)):.2g} %"


def digits(ratio: float) -> str:
    """Three significant digits from 0.1 on, as a table of ratios has."""
    return f"{ratio:.3f}" if 0.0995 <= ratio < 10 else f"{ratio:.3g}"


def _subject(finding: PooledFinding, varied: Collection[str]) -> tuple[str, str]:
    """How the sentence begins, and what the ratio is a part of."""
    verb, what = _VERBS.get(finding.metric, "has"), _what(finding)
    setting = finding.setting
    held = [at.format(level) for name, at in _HELD.items() if name in varied and (level := getattr(setting, name))]
    where = ([] if setting.task is None else [f"on {setting.task}"]) + held
    begin = " ".join(where)
    begin = f"{begin[0].upper()}{begin[1:]}, " if begin else ""
    if finding.by == "model":
        return f"{begin}{finding.other} {verb}", f"of {finding.reference}'s {what}"
    at = _AT[finding.by]
    return (
        f"{begin}{setting.model} {at.format(finding.other)} {verb}",
        f"of its {what} {at.format(finding.reference)}",
    )


def _what(finding: PooledFinding) -> str:
    title, basis = finding.title.split(" (")[0], finding.basis
    if basis is None:
        return title
    words = [word for word in (basis.scope, None if basis.provenance == "measured" else basis.provenance) if word]
    return " ".join([*words, title])


def _no_interval(finding: PooledFinding) -> str:
    reasons = dict.fromkeys(finding.left_out.values())
    return next(iter(reasons)) if len(reasons) == 1 else "no machine has an interval"


def _p(p_value: float | None, finding: PooledFinding) -> str:
    if p_value is None or finding.role == "exploratory":
        return ""
    number = "p < 0.0001" if p_value < 1e-4 else f"p = {p_value:.2g}"
    return f" ({number} by Holm over {finding.family_size})" if finding.family_size > 1 else f" ({number})"


def _within(tests: Sequence[Within]) -> str:
    said = []
    for within in tests:
        percent = f"{100 * (within.test.margin - 1):.3g} %"
        if within.kind == "non-inferior":
            said.append(f"{'at most' if within.holds else 'not shown to be at most'} {percent} more")
        else:
            said.append(f"{'equivalent' if within.holds else 'not shown to be equivalent'} within {percent}")
    return f"; {' and '.join(said)}" if said else ""


def _exceptions(results: Sequence[MachineResult]) -> str:
    """Which machines do not say what most say."""
    below = [result for result in results if (result.ratio.high or math.inf) < 1]
    above = [result for result in results if (result.ratio.low or 0.0) > 1]
    most = max(below, above, key=len)
    kept = set(map(id, most))
    others = [f"{result.machine}: {_interval(result.ratio)}" for result in results if id(result) not in kept]
    if not most:
        return ", whose own intervals all hold 1" if not (below or above) else ""
    shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
    return f", but not on each of them ({shown})"


def _interval(estimate: Estimate) -> str:
    if estimate.ratio is None or estimate.low is None or estimate.high is None:
        return "an unknown part"
    return f"{digits(estimate.ratio)} [{digits(estimate.low)}, {digits(estimate.high)}]"
