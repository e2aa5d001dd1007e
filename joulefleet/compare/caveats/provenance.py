"""The remarks on where the numbers of a comparison come from: counters, formulas, regimes, weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from joulefleet.compare.caveats.evidence import Grounds, listed
from joulefleet.compare.results import MatchFacts, Remark


def energy_remarks(grounds: Grounds) -> Iterator[Remark]:
    """Joules of what, and who says so."""
    lines, findings = (*grounds.proofs, *grounds.lines), grounds.findings
    bases = {basis for basis in (*(of.basis for of in lines), *(of.basis for of in findings)) if basis is not None}
    trials = grounds.trials
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
    compared = [*((of.metric, of.basis) for of in lines), *((of.metric, of.basis) for of in findings)]
    if ("energy", None) in compared:
        unknown = [row for of in trials.values() for row in of if row.status == "ok" and not row.joules]
        whys = Counter(row.energy_reason or "no reason is known" for row in unknown)
        if whys:
            yield Remark(level="warning", text=f"Energy is unknown, and not guessed: {listed(whys)}.")
    reporters = sorted({str(basis.source) for basis in bases if basis.provenance == "reported"})
    if reporters:
        yield Remark(
            level="note",
            text="Reported energy is another tool's word, not known to be measured or modelled: "
            f"{'; '.join(reporters)}.",
        )
    formulas = sorted({str(basis.source) for basis in bases if basis.provenance == "modelled"})
    if formulas:
        reasons = Counter(
            row.energy_reason for rows in trials.values() for row in rows if row.energy_reason and row.status == "ok"
        )
        why = f" Not measured, because: {reasons.most_common(1)[0][0]}." if reasons else ""
        yield Remark(level="note", text=f"Modelled energy is computed, not measured: {'; '.join(formulas)}.{why}")


def regime_remarks(facts: Sequence[MatchFacts]) -> Iterator[Remark]:
    """Which studies are demonstrations."""
    for study in dict.fromkeys(fact.setting.study for fact in facts if fact.setting.regime == "burst"):
        yield Remark(
            level="note",
            text=f"{study} ran in the burst regime: a demonstration. Clocks and temperature were not steady.",
        )


def weights_remarks(grounds: Grounds) -> Iterator[Remark]:
    """Which studies have no quality, and why."""
    facts = [fact for fact in grounds.facts if fact.setting.weights_source == "seeded"]
    for study in dict.fromkeys(fact.setting.study for fact in facts):
        reasons = Counter(
            row.quality_reason
            for row in grounds.trials[study]
            if row.weights_source == "seeded" and row.quality is None and row.quality_reason
        )
        why = reasons.most_common(1)[0][0] if reasons else "weights drawn from a seed answer at random"
        yield Remark(
            level="note",
            text=f"{study} has seeded weights: cost is real, quality is null because {why.rstrip('.')}.",
        )
