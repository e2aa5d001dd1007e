"""The caveats about where numbers come from: counters, other tools, formulas, the regime and the weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from joulefleet.compare.caveats.evidence import Evidence, note, tally, warning
from joulefleet.compare.results import Caveat, MatchFacts


def energy_caveats(evidence: Evidence) -> Iterator[Caveat]:
    """Yield a caveat for each provenance of the compared joules, and one where there are none."""
    compared = {(one.metric, one.basis) for one in evidence.comparisons()}
    compared |= {(finding.metric, finding.basis) for finding in evidence.findings}
    bases = {basis for _, basis in compared if basis is not None}
    trials = [trial for in_study in evidence.trials.values() for trial in in_study]

    def sources(provenance: str) -> str:
        return "; ".join(sorted({str(basis.source) for basis in bases if basis.provenance == provenance}))

    scopes = sorted({str(basis.scope) for basis in bases if basis.provenance == "measured"})
    if scopes:
        yield note(f"Energy is what the CPU's own counters say ({', '.join(scopes)}), not energy at the wall.")
    if any(basis.provenance == "simulated" for basis in bases):
        roots = sorted({str(trial.sysfs_root) for trial in trials if trial.energy_provenance == "simulated"})
        yield warning(
            "Simulated energy was not measured on these machines: its counters were read from files under "
            f"{', '.join(roots)} that are not the running kernel's."
        )
    if ("energy", None) in compared:
        unknown = [trial for trial in trials if trial.status == "ok" and not trial.joules]
        if unknown:
            reasons = Counter(trial.energy_reason or "no reason is known" for trial in unknown)
            yield warning(f"Energy is unknown, and not guessed: {tally(reasons)}.")
    if reporters := sources("reported"):
        yield note(f"Reported energy is the number of another tool, not known to be measured or modelled: {reporters}.")
    if formulas := sources("modelled"):
        reasons = Counter(trial.energy_reason for trial in trials if trial.energy_reason and trial.status == "ok")
        why = f" Not measured, because: {reasons.most_common(1)[0][0]}." if reasons else ""
        yield note(f"Modelled energy is computed, not measured: {formulas}.{why}")


def regime_caveats(facts: Sequence[MatchFacts]) -> Iterator[Caveat]:
    """Yield a caveat for each study that is a demonstration."""
    for study in dict.fromkeys(fact.setting.study for fact in facts if fact.setting.regime == "burst"):
        yield note(f"{study} ran in the burst regime: a demonstration. Clocks and temperature were not steady.")


def weights_caveats(evidence: Evidence) -> Iterator[Caveat]:
    """Yield a caveat for each study without quality, with the reason."""
    facts = [fact for fact in evidence.facts if fact.setting.weights_source == "seeded"]
    for study in dict.fromkeys(fact.setting.study for fact in facts):
        reasons = Counter(
            trial.quality_reason
            for trial in evidence.trials[study]
            if trial.weights_source == "seeded" and trial.quality is None and trial.quality_reason
        )
        why = reasons.most_common(1)[0][0] if reasons else "weights drawn from a seed answer at random"
        yield note(
            f"{study} uses weights drawn from a seed: the costs are real, but quality is null, "
            f"because {why.rstrip('.')}."
        )
