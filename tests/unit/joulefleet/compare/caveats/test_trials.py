"""The caveats about trials and blocks."""

from __future__ import annotations

from typing import Any

from joulefleet.compare.caveats.evidence import Evidence
from joulefleet.compare.caveats.trials import separation_caveats, trial_caveats
from joulefleet.compare.results import Setting
from tests.support.comparison_records import comparison_of_metric, estimate, evidence, facts, trial


def of_trials(given: Evidence) -> list[str]:
    """Return the caveats, each with its level."""
    return [f"{caveat.level}: {caveat.text}" for caveat in trial_caveats(given)]


def test_nothing_is_said_where_nothing_is_wrong() -> None:
    """Every caveat has a reason in the evidence."""
    assert of_trials(evidence(facts=[facts()], trials={"one": [trial()]})) == []
    assert list(separation_caveats([facts()])) == []


def test_failures_are_counted_by_reason() -> None:
    """The most frequent reason comes first."""
    failed = [trial(status="failed", reason=reason) for reason in ("oom", "timeout", "timeout", None)]
    (text,) = of_trials(evidence(trials={"one": [*failed, trial()]}))
    assert text == "warning: one: 4 trials failed (timeout ×2, oom ×1, unknown ×1); their blocks lack an arm."


def test_blocks_are_lost_for_many_reasons() -> None:
    """Each reason has a sentence of its own."""
    lost = facts(unequal_blocks=1, other_libraries=2, excluded=3, boots_differ=4, always_first="big")
    one = comparison_of_metric(estimate(0.5, exclusions={"no value": 2}))
    texts = of_trials(evidence(others=[one, one], facts=[lost, lost]))
    assert [text.split(":")[1].strip().split(" pair")[0].split(" left out")[0] for text in texts] == [
        "Blocks",
        "2 blocks",
        "4 blocks",
        "6 blocks",
        "One arm ran first in every block (big on sst2)",
        "In 8 blocks the two trials ran in different boots of the machine.",
    ]
    assert texts[0] == "warning: Blocks left out: time per item, no value ×4."
    assert texts[3].endswith("left out for their flags, as the study stated before its data.")


def test_flags_are_listed_by_arm() -> None:
    """The number of the arm's trials is given; where machines are compared, the arm is a machine."""
    by_model = facts(flags={"big": {}, "small": {"steal": 2}})
    (text,) = of_trials(evidence(facts=[by_model]))
    assert text.endswith("each ratio is also given without them. small/sst2 on left: steal ×2 of 5.")
    arms: dict[str, Any] = {"flags": {"right": {"steal": 1}}, "ok": {"right": 4}}
    by_machine = facts(by="machine", setting=Setting(study="one", model="big", task="sst2"), **arms)
    text, _ = of_trials(evidence(facts=[by_machine]))[::-1]
    assert text.endswith("also given without them. big right/sst2: steal ×1 of 4.")


def test_trials_without_blocks_are_confounded_with_the_day() -> None:
    """Arms that took turns are not confounded, nor are machines."""
    turns, apart = facts(paired=False), facts(paired=False, interleaved=False)
    assert [text.split(":")[0] for text in of_trials(evidence(facts=[turns]))] == ["note"]
    warned = of_trials(evidence(facts=[apart, apart]))
    assert warned[0].startswith("warning: one: model and day are confounded")
    assert "(big and small)" in warned[0]
    assert of_trials(evidence(facts=[facts(by="machine", paired=False)])) == [
        "note: Machines share no block: they are compared unpaired (Welch)."
    ]


def test_labels_that_are_pooled_over_are_named() -> None:
    """A study without such labels has no caveat."""
    (text,) = of_trials(evidence(pooled_labels={"one": ["cooled", "size"], "two": []}))
    assert text.startswith("warning: one: trials with different cooled, size are pooled")


def test_machines_and_protocols_are_kept_apart() -> None:
    """Two facts of one pair and setting come from two protocols."""
    other = facts(setting=Setting(study="one", machine_id="m2", task="sst2", batch_size=1))
    note, warning = separation_caveats([facts(), facts(reference_protocol="b2"), other])
    assert note.text == "2 machines: each counts once in a finding over all of them."
    assert warning.text.startswith("1 comparison was measured under several protocols")
