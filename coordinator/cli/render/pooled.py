"""The findings over all machines as plain text: a table where there are several machines, and sentences."""

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
from coordinator.text import table_lines
from joulefleet.compare.formatting import interval_text, ratio_text
from joulefleet.compare.results import PooledFinding

_QUOTED = ("energy", "time")
"""The metrics whose sentences are printed as well as the primary one's; --json has all."""

_PREFIXES = {"primary": "= ", "secondary": "~ ", "exploratory": "? "}


def finding_tables(findings: Sequence[PooledFinding]) -> Iterator[str]:
    """Yield a table for each pair and setting that several machines measured."""
    for _, group in itertools.groupby(findings, key=lambda finding: table_key(finding.pair, finding.setting)):
        shown = [finding for finding in group if finding.pooled is not None]
        if shown:
            yield from _table(shown)
            yield ""


def finding_sentences(findings: Sequence[PooledFinding]) -> Iterator[str]:
    """Yield the sentences to quote: = primary, ~ secondary, ? exploratory."""
    for finding in findings:
        if finding.metric in _QUOTED or finding.role == "primary":
            yield from wrapped(_PREFIXES[finding.role], finding.sentence)


def _table(findings: Sequence[PooledFinding]) -> Iterator[str]:
    first = findings[0]
    compared = first.pair if first.by == "model" else first.by
    yield from wrapped("", f"{compared}: {first.reference} → {first.other}, over all machines")
    yield from setting_lines(first.setting)
    rows: list[Sequence[str]] = []
    previous = None
    for finding in findings:
        name = row_name(finding.setting)
        rows.append(("" if name == previous else name, *_cells(finding)))
        previous = name
    confidence = first.pooled.confidence if first.pooled else 0.95
    interval = interval_head(confidence)
    heads = (row_head(first.setting), "metric", "ratio", interval, "next machine", "spread", "machines")
    yield from table_lines(heads, rows, right=(2, 5, 6), indent="  ")


def _cells(finding: PooledFinding) -> Sequence[str]:
    title = metric_title(finding.title, finding.basis)
    counted, left_out = len(finding.machines), len(finding.left_out)
    machines = f"{counted} of {counted + left_out}" if left_out else str(counted)
    pooled = finding.pooled
    if pooled is None or pooled.ratio is None:
        return (title, "–", _reason(finding).split(":")[0], "", "", machines)
    check = pooled.check
    prediction = check and interval_text(check.prediction_low, check.prediction_high)
    return (
        *(title, ratio_text(pooled.ratio), interval_text(pooled.low, pooled.high) or "–"),
        *(prediction or "–", "–" if check is None else f"×{ratio_text(check.spread)}", machines),
    )


def _reason(finding: PooledFinding) -> str:
    if not finding.machines and finding.left_out:
        return next(iter(finding.left_out.values()))
    return (finding.pooled and finding.pooled.reason) or "no interval"
