"""The evidence from which the caveats of a comparison are drawn, and the lists in their texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from joulefleet.compare.metrics import TrialValues
from joulefleet.compare.results import Caveat, Family, MatchFacts, MetricComparison, PooledFinding
from joulefleet.query.progress import StudyProgress
from joulefleet.stats import Estimate

NAMED = 6
"""Number of machines, arms or comparisons that a caveat names; it counts the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The evidence from which caveats are drawn, from all studies that are compared."""

    proofs: Sequence[MetricComparison]
    others: Sequence[MetricComparison]
    """The comparisons on single machines that are no proofs, and the interactions."""
    findings: Sequence[PooledFinding]
    """Findings of all studies, including those of proofs."""
    facts: Sequence[MatchFacts]
    families: Sequence[Family]
    progress: Sequence[StudyProgress]
    trials: Mapping[str, Sequence[TrialValues]]
    """All trials of each study, by its name."""
    pooled_labels: Mapping[str, Sequence[str]]
    """Labels of imported trials that are no factors and differ within an arm, by study."""

    def comparisons(self) -> tuple[MetricComparison, ...]:
        """Return the comparisons on single machines, proofs first."""
        return (*self.proofs, *self.others)

    def estimates(self) -> Iterator[tuple[str, Estimate]]:
        """Yield the metric's title and the estimate of each comparison, or of the findings where they stand alone."""
        yield from ((one.title, one.ratio) for one in self.comparisons())
        if not self.others:
            yield from ((one.title, result.ratio) for one in self.findings for result in one.machines)


def warning(text: str) -> Caveat:
    """Return a caveat without which the numbers may mislead."""
    return Caveat(level="warning", text=text)


def note(text: str) -> Caveat:
    """Return a caveat that explains the numbers."""
    return Caveat(level="note", text=text)


def named(texts: Iterable[str], separator: str = ", ") -> str:
    """Return the first of `texts`, each once, and how many more there are."""
    once = list(dict.fromkeys(texts))
    rest = [f"and {len(once) - NAMED} more"] if len(once) > NAMED else []
    return separator.join(once[:NAMED] + rest)


def tally(counts: Mapping[str, int]) -> str:
    """Return each name with its number: `steal ×2, short_window ×1`."""
    return ", ".join(f"{name} ×{count}" for name, count in counts.items())


def counted(number: int, noun: str) -> str:
    """Return the number with its noun: `1 block`, `2 blocks`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
