"""A comparison as plain text within 100 columns: proofs first, then each pair by task, then the sentences."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from coordinator.cli.render.format import (
    interval_head,
    metric_title,
    row_head,
    row_name,
    setting_lines,
    table_key,
    wrapped,
)
from coordinator.cli.render.pooled import finding_sentences, finding_tables
from coordinator.text import table_lines
from joulefleet.compare.contrasts import PROOFS
from joulefleet.compare.formatting import interval_text, quantity_texts, ratio_text, value_text
from joulefleet.compare.results import Comparison, MetricComparison
from joulefleet.stats import Estimate

_RIGHT = (2, 3, 4, 6, 7)
"""Columns of numbers."""

_PREFIXES = {"alarm": "!!! ", "warning": "! ", "note": "- "}


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """Yield the lines of `comparison`: alarms, tables, sentences, the other caveats."""
    alarms = [caveat for caveat in comparison.caveats if caveat.level == "alarm"]
    for caveat in alarms:
        yield from wrapped(_PREFIXES["alarm"], caveat.text)
    if alarms:
        yield ""
    yield from finding_tables(comparison.findings)
    tables = [
        list(table)
        for part in (comparison.proofs, comparison.per_machine, comparison.interactions)
        for _, table in itertools.groupby(part, key=lambda one: (one.kind, table_key(one.pair, one.setting)))
    ]
    for table in tables:
        yield from _table(table)
        yield ""
    if not tables and not comparison.findings:
        yield "Nothing to compare yet: no study of this store has measured trials of two arms."
    if comparison.machines_hidden:
        hidden = f"{comparison.machines_hidden} machines have lines of their own: --every-machine shows them."
        yield from wrapped("", hidden)
        yield ""
    yield from finding_sentences(comparison.findings)
    for caveat in comparison.caveats:
        if caveat.level != "alarm":
            yield from wrapped(_PREFIXES[caveat.level], caveat.text)


def _table(comparisons: Sequence[MetricComparison]) -> Iterator[str]:
    first = comparisons[0]
    yield from wrapped("", _title(first))
    yield from setting_lines(first.setting, first.machine)
    rows: list[Sequence[str]] = []
    previous = None
    for one in comparisons:
        # Trials of another protocol begin with the row's name again.
        match = (row_name(one.setting), one.reference.protocol, one.other.protocol)
        rows += _rows(one, named=match != previous)
        previous = match
    yield from table_lines(_heads(first), rows, right=_RIGHT, indent="  ")


def _title(comparison: MetricComparison) -> str:
    reference, other = comparison.reference.level, comparison.other.level
    if comparison.by == "model":
        return f"{'proof ' if comparison.kind in PROOFS else ''}{comparison.pair}: {reference} → {other}"
    if comparison.kind == "interaction":
        return f"{comparison.pair}'s ratio by {comparison.by}: {reference} → {other}"
    return f"{comparison.by}: {reference} → {other}"


def _heads(first: MetricComparison) -> Sequence[str]:
    arms = ("teacher", "student") if first.by == "model" else (first.reference.level, first.other.level)
    count = "blocks" if first.setting.machine_id is not None and "paired" in first.ratio.method else "trials"
    return (row_head(first.setting), "metric", *arms, "ratio", interval_head(first.ratio.confidence), count, "g")


def _rows(comparison: MetricComparison, *, named: bool) -> Iterator[Sequence[str]]:
    name = row_name(comparison.setting) if named else ""
    g = comparison.checks.hedges_g
    ratio = _estimate(comparison.ratio, comparison.expected_ratio)
    title = metric_title(comparison.title, comparison.basis)
    yield (name, title, *_medians(comparison), *ratio, "" if g is None else value_text(g))
    if comparison.flagged_blocks and comparison.without_flagged.n_blocks:
        ratio = _estimate(comparison.without_flagged, comparison.expected_ratio)
        yield ("", "  without flagged", "", "", *ratio, "")


def _estimate(estimate: Estimate, expected: float | None) -> tuple[str, str, str]:
    """Return the cells of an estimate: ratio, interval or the reason why there is none, number of blocks."""
    ratio = "–" if estimate.ratio is None else ratio_text(estimate.ratio)
    interval = interval_text(estimate.low, estimate.high)
    if interval is None:
        interval = (estimate.interval_reason or "").split(":")[0]
    elif expected is not None:
        interval += f" {'holds' if estimate.holds(expected) else 'FAILS'} {expected:.2f}"
    return ratio, interval, str(estimate.n_blocks)


def _medians(comparison: MetricComparison) -> Iterator[str]:
    arms = (comparison.reference, comparison.other)
    for arm, text in zip(arms, quantity_texts([arm.median for arm in arms], comparison.unit), strict=True):
        yield text or (f"{arm.failed} failed" if arm.failed else "–")
