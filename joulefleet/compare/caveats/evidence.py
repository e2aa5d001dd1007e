"""What the remarks under a comparison are about, and how they count and list it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from joulefleet.compare.metrics import TrialValues
from joulefleet.compare.results import Family, MatchFacts, MetricComparison, PooledFinding
from joulefleet.query.progress import StudyProgress

LISTED = 6
"""So many machines, arms or lines are named; the rest are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What the remarks are about."""

    proofs: Sequence[MetricComparison]
    lines: Sequence[MetricComparison]
    findings: Sequence[PooledFinding]
    facts: Sequence[MatchFacts]
    families: Sequence[Family]
    states: Sequence[StudyProgress]
    trials: Mapping[str, Sequence[TrialValues]]
    """All trials of each study, by its name."""
    pooled_labels: Mapping[str, Sequence[str]]
    """Of each study: labels of imported trials that are no factors and differ within an arm."""


def some(texts: Sequence[str], between: str = ", ") -> str:
    """The first of `texts`, and how many more there are."""
    more = f"{between}and {len(texts) - LISTED} more" if len(texts) > LISTED else ""
    return between.join(texts[:LISTED]) + more


def listed(counts: Mapping[str, int]) -> str:
    """Each name with its number."""
    return ", ".join(f"{name} ×{count}" for name, count in counts.items())


def counted(number: int, noun: str) -> str:
    """The number with its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
