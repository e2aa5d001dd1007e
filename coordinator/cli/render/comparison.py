"""A comparison as plain text within 100 columns: proofs first, then each pair by task, then the sentences."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from coordinator.cli.render.format import (
    digits,
    interval_head,
    metric_title,
    row_head,
    row_name,
    sentence,
    table_of,
    where_line,
)
from coordinator.cli.render.pooled import finding_lines, finding_sentences
from coordinator.text import table_lines
from joulefleet.compare.contrasts import PROOFS
from joulefleet.compare.results import Comparison, MetricComparison
from joulefleet.stats import Estimate

_RIGHT = (2, 3, 4, 6, 7)
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """The whole of `comparison`."""
    failed = [remark for remark in comparison.remarks if remark.level == "alarm"]
    for remark in failed:
        yield from sentence("!!! ", remark.text)
    if failed:
        yield ""
    yield from finding_lines(comparison.findings)
    groups = [
        list(lines)
        for part in (comparison.proofs, comparison.lines, comparison.interactions)
        for _, lines in itertools.groupby(part, key=lambda line: (line.kind, table_of(line.pair, line.setting)))
    ]
    for group in groups:
        yield from _group_lines(group)
        yield ""
    if not groups and not comparison.findings:
        yield "Nothing to compare yet: no study of this store has two arms of which anything was measured."
    if comparison.machines_hidden:
        yield from sentence(
            "", f"{comparison.machines_hidden} machines have lines of their own: --every-machine shows them."
        )
        yield ""
    yield from finding_sentences(comparison.findings)
    for remark in comparison.remarks:
        if remark.level != "alarm":
            yield from sentence("! " if remark.level == "warning" else "- ", remark.text)


def _group_lines(lines: Sequence[MetricComparison]) -> Iterator[str]:
    first = lines[0]
    yield from sentence("", _title(first))
    yield from where_line(first.setting, first.machine)
    rows: list[Sequence[str]] = []
    match = None
    for line in lines:
        # Trials of another protocol begin anew, with the row's name again.
        now = (row_name(line.setting), line.reference.protocol, line.other.protocol)
        rows += _rows(line, named=now != match)
        match = now
    yield from table_lines(_headers(first), rows, right=_RIGHT, indent="  ")


def _title(line: MetricComparison) -> str:
    reference, other = line.reference.level, line.other.level
    if line.by == "model":
        return f"{'proof ' if line.kind in PROOFS else ''}{line.pair}: {reference} → {other}"
    if line.kind == "interaction":
        return f"{line.pair}'s ratio by {line.by}: {reference} → {other}"
    return f"{line.by}: {reference} → {other}"


def _headers(line: MetricComparison) -> Sequence[str]:
    arms = ("teacher", "student") if line.by == "model" else (line.reference.level, line.other.level)
    count = "blocks" if line.setting.machine_id is not None and "paired" in line.ratio.method else "trials"
    return (row_head(line.setting), "metric", *arms, "ratio", interval_head(line.ratio.confidence), count, "g")


def _rows(line: MetricComparison, *, named: bool) -> Iterator[Sequence[str]]:
    reference, other = values(line)
    name = row_name(line.setting) if named else ""
    g = line.checks.hedges_g
    shown = "" if g is None else digits(g)
    yield (name, metric_title(line.title, line.basis), reference, other, *_estimate(line, line.ratio), shown)
    if line.flagged_blocks and line.without_flagged.n_blocks:
        yield ("", "  without flagged", "", "", *_estimate(line, line.without_flagged), "")


def _estimate(line: MetricComparison, estimate: Estimate) -> tuple[str, str, str]:
    ratio = "–" if estimate.ratio is None else digits(estimate.ratio)
    if estimate.low is None or estimate.high is None:
        interval = (estimate.interval_reason or "").split(":")[0]
    else:
        interval = f"[{digits(estimate.low)}, {digits(estimate.high)}]"
    if line.expected_ratio is not None and estimate.low is not None:
        interval += f" {'holds' if estimate.holds(line.expected_ratio) else 'FAILS'} {line.expected_ratio:.2f}"
    return ratio, interval, str(estimate.n_blocks)


def values(line: MetricComparison) -> tuple[str, str]:
    """Teacher's and student's median with their unit, both in the same prefix of it."""
    medians = (line.reference.median, line.other.median)
    known = [abs(value) for value in medians if value]
    scale, prefix = _prefix(max(known)) if known and line.unit not in {"%", ""} else (1.0, "")
    shown = [_no_value(arm.failed) if arm.median is None else "" for arm in (line.reference, line.other)]
    texts = [
        text or f"{digits((value or 0.0) / scale)} {prefix}{line.unit}".rstrip()
        for text, value in zip(shown, medians, strict=True)
    ]
    return texts[0], texts[1]


def _no_value(failed: int) -> str:
    return f"{failed} failed" if failed else "–"


def _prefix(value: float) -> tuple[float, str]:
    return next(((scale, prefix) for scale, prefix in _PREFIXES if value >= scale), _PREFIXES[-1])
