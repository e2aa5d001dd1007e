"""The table over all machines, and the sentences to quote."""

from __future__ import annotations

from dataclasses import replace

from coordinator.cli.render.pooled import finding_sentences, finding_tables
from joulefleet.compare.results import Setting
from joulefleet.stats import MachineEffect, pool
from tests.support.comparison_records import estimate, finding_of

HALF = estimate(0.5, 0.49, 0.51)
POOLED = pool(
    [MachineEffect(machine=str(n), cpu_model=None, log_ratio=-0.7 - n / 100, variance=1e-4) for n in range(5)]
)


def test_a_table_has_a_row_for_each_finding_over_machines() -> None:
    """The name of the row is not repeated, and machines that are left out are counted."""
    finding = finding_of(*[HALF] * 5, pooled=POOLED)
    lines = list(finding_tables([finding, replace(finding, title="CPU time per item", left_out={"node9": "why"})]))
    assert lines[0] == "p: big → small, over all machines"
    assert lines[2].split() == [
        *("task", "metric", "ratio", "95", "%", "interval", "next", "machine", "spread", "machines"),
    ]
    assert lines[3].split()[:5] == ["sst2", "time", "per", "item", "0.487"]
    assert lines[3].endswith("5")
    assert lines[4].split()[:5] == ["CPU", "time", "per", "item", "0.487"]
    assert lines[4].endswith("5 of 6")


def test_without_a_mean_the_row_has_the_reason() -> None:
    """It is that of the machines that are left out, where all are."""
    two = finding_of(HALF, HALF, pooled=pool([]))
    assert "–  no machine" in next(line for line in finding_tables([two]) if "time per item" in line)
    lost = finding_of(pooled=pool([]), left_out={"node1": "1 block: an interval needs 2"})
    assert "–  1 block" in next(line for line in finding_tables([lost]) if "time per item" in line)


def test_one_machine_has_no_table() -> None:
    """Each setting of several machines has one."""
    assert list(finding_tables([finding_of(HALF)])) == []
    eight = finding_of(*[HALF] * 5, pooled=POOLED, setting=Setting(study="one", task="sst2", batch_size=8))
    tables = list(finding_tables([finding_of(*[HALF] * 5, pooled=POOLED), eight]))
    assert sum("over all machines" in line for line in tables) == 2


def test_sentences_begin_with_the_sign_of_their_role() -> None:
    """Those of energy and time are printed, and that of the primary metric."""
    findings = [
        finding_of(HALF, metric=metric, role=role, sentence=f"{metric} {role}.")
        for metric, role in (
            ("energy", "secondary"),
            ("memory", "primary"),
            ("time", "exploratory"),
            ("cpu_use", "secondary"),
        )
    ]
    assert list(finding_sentences(findings)) == ["~ energy secondary.", "= memory primary.", "? time exploratory."]
