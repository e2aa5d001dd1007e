"""The sentences to quote."""

from __future__ import annotations

from dataclasses import replace

import pytest

from joulefleet.compare.conclusions import sentence_of, varied_fields
from joulefleet.compare.results import PooledFinding, Setting, Within
from joulefleet.stats import Estimate, MachineEffect, pool
from joulefleet.stats.equivalence import WithinMargin
from tests.support.comparison_records import PACKAGE, estimate, finding_of

HALF, MORE, BOTH = estimate(0.5, 0.49, 0.51), estimate(1.2, 1.1, 1.3), estimate(0.98, 0.9, 1.1)


def over(*ratios: Estimate, every: bool | None = None, models: bool = False) -> PooledFinding:
    """Return a finding over machines of these ratios; with `models`, each CPU model has two of them."""
    pooled = pool(
        [
            MachineEffect(
                machine=str(n), cpu_model=str(n // 2) if models else str(n), log_ratio=-0.7 - n / 100, variance=1e-4
            )
            for n in range(len(ratios))
        ]
    )
    return replace(finding_of(*ratios), pooled=pooled, on_every_machine=every)


def test_one_machine_has_a_sentence_of_its_own() -> None:
    """It has a p-value, with the size of the family, only where the finding was stated before the data."""
    finding = replace(finding_of(HALF), p_value=0.012, p_adjusted=0.012, family_size=1)
    start = "On sst2, small needs 0.500 [0.490, 0.510] of big's time per item, on node1 alone"
    assert sentence_of(finding) == f"{start}."
    assert sentence_of(replace(finding, role="primary")) == f"{start} (p = 0.012)."
    assert sentence_of(replace(finding, role="secondary", family_size=3)) == f"{start} (p = 0.012 by Holm over 3)."


def test_two_machines_have_their_own_results() -> None:
    """There is no mean over two."""
    sentence = sentence_of(over(HALF, MORE))
    assert sentence == (
        "On sst2, small needs 0.500 [0.490, 0.510] on node1 and 1.200 [1.100, 1.300] on node2 of big's time per item."
    )


def test_a_mean_says_over_how_many_and_whether_all_agree() -> None:
    """At most three machines that do not agree are named."""
    agreed = sentence_of(over(HALF, HALF, HALF, every=True))
    assert agreed.endswith("of big's time per item, in the mean of 3 machines, and less on every one of them.")
    assert sentence_of(over(MORE, MORE, MORE, every=True)).endswith(", and more on every one of them.")
    mixed = sentence_of(over(HALF, HALF, HALF, HALF, HALF, MORE, BOTH, BOTH, BOTH, every=False))
    assert "but not on each of them (node6: 1.200 [1.100, 1.300], node7: 0.980" in mixed
    assert mixed.endswith("and 1 more).")
    assert sentence_of(over(BOTH, BOTH, BOTH, every=False)).endswith(", whose own intervals all contain 1.")
    assert "of 3 CPU models, each counted once" in sentence_of(over(*[HALF] * 6, models=True))


def test_no_interval_has_its_reason() -> None:
    """It is that of all machines, where all have the same."""
    finding = replace(finding_of(), left_out={"node1": "1 block: an interval needs 2"})
    assert sentence_of(finding).endswith(
        "a part of big's time per item for which there is no interval: 1 block: an interval needs 2."
    )
    two = replace(finding, left_out={"node1": "a", "node2": "b"})
    assert sentence_of(two).endswith("big's time per item for which there is no interval: no machine has an interval.")


def test_margins_follow_the_ratio() -> None:
    """The words follow the corrected p-value, not the test by itself."""
    test = WithinMargin(margin=1.05, p_value=0.04, holds=True, low=None, high=1.04)
    within = (
        Within(kind="non-inferior", test=test, p_adjusted=0.01, holds=True),
        Within(kind="equivalent", test=test, p_adjusted=0.08, holds=False),
    )
    sentence = sentence_of(replace(finding_of(HALF), within=within))
    assert sentence.endswith("alone; at most 5 % more and not shown to be equivalent within 5 %.")


def test_energy_is_qualified() -> None:
    """The scope of the energy is part of the sentence."""
    finding = replace(finding_of(HALF), metric="energy", title="energy per item", basis=PACKAGE)
    assert "of big's package energy per item" in sentence_of(finding)


@pytest.mark.parametrize(
    ("by", "reference", "other", "expected"),
    [
        ("environment", "bare", "container", "On sst2, bert in container needs {} of its time per item in bare"),
        ("machine", "left", "right", "On sst2, bert on right needs {} of its time per item on left"),
        ("threads", "1", "4", "On sst2, bert with 4 threads needs {} of its time per item with 1 threads"),
    ],
)
def test_other_factors_have_their_own_words(by: str, reference: str, other: str, expected: str) -> None:
    """The model is compared with itself."""
    setting = Setting(study="one", task="sst2", model="bert")
    finding = finding_of(HALF, by=by, reference=reference, other=other, setting=setting)
    assert sentence_of(finding).startswith(expected.format("0.500 [0.490, 0.510]"))


def test_levels_are_named_only_where_the_study_varies_them() -> None:
    """The task is always named."""
    one, eight = (
        finding_of(HALF, setting=Setting(study="one", task="sst2", batch_size=size, dtype="float32", regime="burst"))
        for size in (1, 8)
    )
    assert varied_fields([one, eight]) == {"batch_size"}
    assert varied_fields([one]) == set()
    assert sentence_of(eight, {"batch_size"}).startswith("On sst2 with batch size 8, small needs")
    assert sentence_of(eight, {"regime"}).startswith("On sst2 in the burst regime, small needs")
    assert sentence_of(eight).startswith("On sst2, small needs")
