"""The caveats about the trials behind a comparison: failures, lost blocks, flags, order, protocols."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from joulefleet.compare.caveats.evidence import Evidence, counted, named, note, tally, warning
from joulefleet.compare.metrics import TrialValues
from joulefleet.compare.results import Caveat, MatchFacts


def trial_caveats(evidence: Evidence) -> Iterator[Caveat]:
    """Yield a caveat for each problem of trials and blocks."""
    yield from _without_blocks(evidence.facts)
    for study, labels in evidence.pooled_labels.items():
        if labels:
            yield warning(
                f"{study}: trials with different {', '.join(labels)} are pooled, as not both models of each "
                "pair have several trials at each level."
            )
    yield from _failures(evidence.trials)
    yield from _blocks_lost(evidence)
    yield from _flags(evidence.facts)


def separation_caveats(facts: Sequence[MatchFacts]) -> Iterator[Caveat]:
    """Yield a caveat about machines, and one about protocols, that are not pooled."""
    machines = {fact.setting.machine_id for fact in facts}
    if len(machines) > 1:
        yield note(f"{len(machines)} machines: each counts once in a finding over all of them.")
    matches = Counter((fact.pair, fact.setting) for fact in facts)
    several = sum(count > 1 for count in matches.values())
    if several:
        were = "was" if several == 1 else "were"
        yield warning(
            f"{counted(several, 'comparison')} {were} measured under several protocols (the study changed "
            "between runs): each protocol has a comparison of its own."
        )


def _without_blocks(facts: Sequence[MatchFacts]) -> Iterator[Caveat]:
    unpaired: dict[str, list[MatchFacts]] = {}
    for fact in facts:
        if not fact.paired and fact.by != "machine":
            unpaired.setdefault(fact.setting.study, []).append(fact)
    for study, in_study in unpaired.items():
        apart = [f"{fact.reference} and {fact.other}" for fact in in_study if not fact.interleaved]
        if apart:
            yield warning(
                f"{study}: model and day are confounded: all runs of one arm came before those of the other, "
                f"or their times are unknown ({named(apart)}). A difference may be one between days."
            )
        yield note(
            f"{study} has no blocks: its trials are compared unpaired (Welch), and nothing was stated before "
            "its data, so all findings are exploratory."
        )
    if any(fact.by == "machine" for fact in facts):
        yield note("Machines share no block: they are compared unpaired (Welch).")


def _failures(trials: Mapping[str, Sequence[TrialValues]]) -> Iterator[Caveat]:
    for study, in_study in trials.items():
        reasons = Counter(trial.reason or "unknown" for trial in in_study if trial.status != "ok")
        if reasons:
            yield warning(
                f"{study}: {counted(reasons.total(), 'trial')} failed ({tally(dict(reasons.most_common()))}); "
                "their blocks lack an arm."
            )


def _blocks_lost(evidence: Evidence) -> Iterator[Caveat]:
    reasons: Counter[str] = Counter()
    for title, estimate in evidence.estimates():
        for reason, count in estimate.exclusions.items():
            reasons[f"{title}, {reason}"] += count
    if reasons:
        yield warning(f"Blocks left out: {tally(reasons)}.")
    facts = evidence.facts
    for number, why in (
        (sum(fact.unequal_blocks for fact in facts), ": the two trials did unequal work (items or threads differ)."),
        (
            sum(fact.other_libraries for fact in facts),
            ": the two environments have different libraries, and the ratio would be that of the libraries.",
        ),
        (sum(fact.excluded for fact in facts), " for their flags, as the study stated before its data."),
    ):
        if number:
            yield warning(f"{counted(number, 'block')} left out{why}")
    first = [f"{fact.always_first} on {fact.setting.task or fact.machine}" for fact in facts if fact.always_first]
    if first:
        yield warning(
            f"One arm ran first in every block ({named(first)}): a change within a block cannot be told from the "
            "effect. A study of two cells has no other order, one of more cells has."
        )
    boots = sum(fact.boots_differ for fact in facts)
    if boots:
        yield warning(f"In {counted(boots, 'block')} the two trials ran in different boots of the machine.")


def _flags(facts: Sequence[MatchFacts]) -> Iterator[Caveat]:
    texts: dict[str, dict[str, str]] = {}
    for fact in facts:
        for arm, flags in fact.flags.items():
            if flags:
                model = "" if fact.setting.model is None else f"{fact.setting.model} "
                task = "" if fact.setting.task is None else f"/{fact.setting.task}"
                where = f"{model}{arm}{task}" + ("" if fact.by == "machine" else f" on {fact.machine}")
                texts.setdefault(fact.setting.study, {})[where] = f"{where}: {tally(flags)} of {fact.ok[arm]}"
    for study, by_arm in texts.items():
        yield warning(
            f"{study}: flagged trials are kept, and each ratio is also given without them. "
            f"{named(by_arm.values(), '; ')}."
        )
