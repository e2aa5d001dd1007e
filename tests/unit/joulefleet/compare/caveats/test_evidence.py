"""The evidence of caveats, and the lists in their texts."""

from __future__ import annotations

from joulefleet.compare.caveats.evidence import NAMED, counted, named, tally
from tests.support.comparison_records import comparison_of_metric, estimate, evidence, finding_of


def test_the_first_are_named_and_the_rest_counted() -> None:
    """Repeated texts are named once."""
    texts = [f"m{number}" for number in range(NAMED + 2)]
    assert named(texts[:2] * 3) == "m0, m1"
    assert named(texts, "; ") == "m0; m1; m2; m3; m4; m5; and 2 more"
    assert named([]) == ""


def test_numbers_have_their_noun() -> None:
    """The noun is singular for one only."""
    assert [counted(number, "block") for number in (0, 1, 2)] == ["0 blocks", "1 block", "2 blocks"]
    assert tally({"steal": 2, "short_window": 1}) == "steal ×2, short_window ×1"


def test_findings_stand_for_comparisons_that_are_not_shown() -> None:
    """With many machines the comparisons of single machines are not shown."""
    shown, pooled, proof = estimate(0.5), estimate(0.6), estimate(2.0)
    finding, of_proof = finding_of(pooled), comparison_of_metric(proof, kind="twice")
    both = evidence(others=[comparison_of_metric(shown)], findings=[finding], proofs=[of_proof])
    assert [found for _, found in both.estimates()] == [proof, shown]
    assert [found for _, found in evidence(findings=[finding], proofs=[of_proof]).estimates()] == [proof, pooled]
    assert both.comparisons()[0] == of_proof
