"""The caveats about proofs, families, tests and intervals, and the order of all."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from joulefleet.compare.caveats.evidence import Evidence
from joulefleet.compare.caveats.statistical import caveats
from joulefleet.compare.results import Checks, Family
from joulefleet.query.progress import MachineProgress, StudyProgress
from joulefleet.stats import MachineEffect, pool
from joulefleet.stats.variance_components import Components
from joulefleet.study.primary import Primary
from tests.support.comparison_records import comparison_of_metric, estimate, evidence, facts, finding_of

PROOF: dict[str, Any] = {"kind": "twice", "pair": "big+twice", "expected_ratio": 2.0}


def texts(given: Evidence, level: str) -> list[str]:
    """Return the texts of the caveats of `level`."""
    return [caveat.text for caveat in caveats(given) if caveat.level == level]


def family(**values: Any) -> Family:
    """Return what study `one` stated."""
    known: dict[str, Any] = {"study": "one", "stated": Primary(metric="time"), "digest": "0123456789", "alpha": 0.05}
    return Family(**(known | values))


def test_a_failed_proof_comes_before_everything() -> None:
    """A proof without an interval has a note, and one that holds has no caveat."""
    failed = comparison_of_metric(estimate(1.0, 0.98, 1.02), **PROOF)
    assert (
        "1 proof in 20 fails by chance"
        in caveats(evidence(proofs=[failed], families=[family(changed_after=1)]))[0].text
    )
    ((alarm),) = texts(evidence(proofs=[failed]), "alarm")
    assert alarm.startswith(
        "PROOF FAILED: one: time per item of small on sst2 (left) is 1.000 [0.980, 1.020] of big's, "
    )
    assert "the truth is 2.00." in alarm
    open_proof = comparison_of_metric(estimate(2.0), **PROOF)
    assert texts(evidence(proofs=[open_proof]), "note") == [
        "Not proven yet: one: time per item of small on sst2 (left): 1 block: an interval needs 2."
    ]
    assert caveats(evidence(proofs=[comparison_of_metric(estimate(2.0, 1.9, 2.1), **PROOF)])) == ()


def test_alarms_come_first_and_notes_last() -> None:
    """The order within a level is fixed."""
    given = evidence(
        proofs=[comparison_of_metric(estimate(1.0, 0.98, 1.02), **PROOF)],
        facts=[facts(boots_differ=1, paired=False)],
        families=[family(changed_after=2)],
    )
    assert [caveat.level for caveat in caveats(given)] == ["alarm", "warning", "warning", "note"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"changed_after": 30}, "one: what is primary was changed after 30 trials had begun"),
        ({"extended_after": 10}, "one: blocks were added when 10 were finished"),
    ],
)
def test_what_was_stated_late_is_a_warning(values: dict[str, Any], expected: str) -> None:
    """All findings are exploratory then."""
    (text,) = texts(evidence(families=[family(**values)]), "warning")
    assert text.startswith(expected)
    assert "all findings are exploratory" in text


def test_the_family_is_described() -> None:
    """A note tells what was stated as primary, and another alpha than the stated one."""
    primary = finding_of(estimate(0.5, 0.4, 0.6), role="primary", family_size=3)
    stated = family(stated=Primary(metric="time", pairs=("p",)))
    (text,) = texts(evidence(families=[stated], findings=[primary]), "note")
    assert text.startswith(
        "one: primary, as stated before the data (01234567): time per item of p on every task, at 0.05, "
    )
    assert "Holm over 3. Every other metric" in text
    tested = finding_of(estimate(0.5, 0.4, 0.6), p_value=0.01)
    notes = texts(evidence(families=[family(alpha=0.01)], findings=[tested, tested]), "note")
    assert notes == [
        "one: exploratory, p-values not corrected for their number (2).",
        "one states an alpha of 0.05; shown is 0.01, so all findings are exploratory.",
    ]


def test_a_time_ratio_that_cannot_be_is_suspected() -> None:
    """Only the time of distillation pairs has a plausible range."""
    off = estimate(0.95, 0.9, 0.99)
    (text,) = texts(evidence(findings=[finding_of(off, estimate(0.5, 0.4, 0.6))]), "warning")
    assert "is 0.950 on node1 of big's, outside 0.35 to 0.85: suspect the set-up" in text
    for values in ({"metric": "energy"}, {"by": "environment"}, {"kind": "a_a"}):
        assert texts(evidence(findings=[finding_of(off, **values)]), "warning") == []


def test_two_tests_that_disagree_are_reported() -> None:
    """Blocks that are too few for a small exact p-value are no disagreement."""

    def warnings(exact: float, p_value: float, blocks: int) -> list[str]:
        one = comparison_of_metric(
            estimate(0.5, 0.4, 0.6, p_value=p_value, n_blocks=blocks), checks=Checks(sign_flip_p=exact)
        )
        return texts(evidence(others=[one]), "warning")

    assert "(p < 0.0001) and the exact sign-flip test (p = 0.06) disagree at 0.05" in warnings(0.06, 1e-6, 8)[0]
    assert "disagree" in warnings(0.04, 0.06, 8)[0]
    assert warnings(0.0625, 0.001, 5) == []
    assert warnings(0.04, 0.001, 8) == []


def test_blocks_far_off_are_named_with_both_estimates() -> None:
    """The blocks are kept in the estimate."""
    checks = Checks(outliers=(4, 7), without_outliers=estimate(0.5, 0.48, 0.52))
    (text,) = texts(evidence(others=[comparison_of_metric(estimate(0.55, 0.4, 0.7), checks=checks)]), "warning")
    assert text.endswith("block 4, 7, 0.550 [0.400, 0.700] with and 0.500 [0.480, 0.520] without.")


def test_too_few_blocks_are_said_once() -> None:
    """Without blocks the note counts trials."""
    few = comparison_of_metric(estimate(0.5, 0.4, 0.6, n_blocks=3))
    assert texts(evidence(others=[few, few]), "note") == ["3 blocks: too few for a p-value, which needs 5."]
    assert "3 trials: too few for a p-value, which needs 5." in texts(
        evidence(others=[few], facts=[facts(paired=False)]), "note"
    )
    assert texts(evidence(others=[few, comparison_of_metric(estimate(0.5, 0.4, 0.6))]), "note") == []


def test_machines_left_out_and_shared_models_are_said() -> None:
    """Both are about a mean over machines."""
    effects = [
        MachineEffect(machine=str(n), cpu_model=str(n % 2), log_ratio=-0.7 - n / 10, variance=1e-4) for n in range(4)
    ]
    finding = finding_of(pooled=pool(effects), left_out={"node9": "zero variance: every block has the same ratio"})
    left_out, shared = texts(evidence(findings=[finding, finding]), "warning")
    assert left_out == "Not in the mean: node9 (zero variance: every block has the same ratio): time per item on sst2."
    assert shared.startswith("The machines share one or two CPU models")
    assert texts(evidence(findings=[finding_of(left_out={"node9": "why"})]), "warning") == []


def test_the_spread_of_a_primary_finding_is_described() -> None:
    """Levels that the data do not tell apart are left out."""
    spread = Components(cpu_model=None, machine=0.01, block=0.0004)
    primary = finding_of(estimate(0.5, 0.4, 0.6), role="primary", components=spread)
    (text,) = texts(evidence(findings=[primary]), "note")
    assert text.endswith("varies between blocks 2 %, between machines 11 % (standard deviations of the ratio).")
    assert texts(evidence(findings=[finding_of(estimate(0.5, 0.4, 0.6), components=spread)]), "note") == []


def test_an_unfinished_study_is_said() -> None:
    """The note has the number of missing trials."""
    machine = MachineProgress(place="m1", name="left", planned=12, ok=9, failed=1)
    progress = StudyProgress(
        study="one", requested_at=datetime(2026, 3, 1, tzinfo=UTC), machines=(machine,), failures={}, newest_at=None
    )
    (text,) = texts(evidence(progress=[progress]), "note")
    assert text == "one is unfinished (2 of 12 trials missing): estimates, no p-values."
