"""What a comparison finds over all machines, as plain text: a table where there are several, and sentences."""

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
from coordinator.text import table_lines
from joulefleet.compare.results import PooledFinding

_SAID = ("energy", "time")
"""The metrics whose sentences are printed beside the primary one; --json has all."""


def finding_lines(findings: Sequence[PooledFinding]) -> Iterator[str]:
    """A table for each pair and setting that several machines measured."""
    for _, group in itertools.groupby(findings, key=lambda finding: table_of(finding.pair, finding.setting)):
        shown = [finding for finding in group if finding.pooled is not None]
        if shown:
            yield from _table(shown)
            yield ""


def finding_sentences(findings: Sequence[PooledFinding]) -> Iterator[str]:
    """The sentences to quote: = primary, ~ secondary, ? exploratory."""
    for finding in findings:
        if finding.metric in _SAID or finding.role == "primary":
            mark = {"primary": "=", "secondary": "~", "exploratory": "?"}[finding.role]
            yield from sentence(f"{mark} ", finding.sentence)


def _table(findings: Sequence[PooledFinding]) -> Iterator[str]:
    first = findings[0]
    what = first.pair if first.by == "model" else first.by
    yield from sentence("", f"{what}: {first.reference} → {first.other}, over all machines")
    yield from where_line(first.setting)
    names = [row_name(finding.setting) for finding in findings]
    again = [before == name for before, name in zip([None, *names], names, strict=False)]
    rows = [_row(finding, again=same) for finding, same in zip(findings, again, strict=True)]
    confidence = first.pooled.confidence if first.pooled else 0.95
    heads = (
        row_head(first.setting),
        "metric",
        "ratio",
        interval_head(confidence),
        "next machine",
        "spread",
        "machines",
    )
    yield from table_lines(heads, rows, right=(2, 5, 6), indent="  ")


def _row(finding: PooledFinding, *, again: bool) -> Sequence[str]:
    task, title = "" if again else row_name(finding.setting), metric_title(finding.title, finding.basis)
    machines = str(len(finding.machines)) + (f" of {_all(finding)}" if finding.left_out else "")
    pooled = finding.pooled
    if pooled is None or pooled.ratio is None:
        return (task, title, "–", _reason(finding).split(":")[0], "", "", machines)
    check = pooled.check
    following = check and _interval(check.prediction_low, check.prediction_high)
    return (
        *(task, title, digits(pooled.ratio), _interval(pooled.low, pooled.high) or "–"),
        *(following or "–", "–" if check is None else f"×{digits(check.spread)}", machines),
    )


def _reason(finding: PooledFinding) -> str:
    if not finding.machines and finding.left_out:
        return next(iter(finding.left_out.values()))
    return (finding.pooled and finding.pooled.reason) or "no interval"


def _all(finding: PooledFinding) -> int:
    return len(finding.machines) + len(finding.left_out)


def _interval(low: float | None, high: float | None) -> str | None:
    return None if low is None or high is None else f"[{digits(low)}, {digits(high)}]"
