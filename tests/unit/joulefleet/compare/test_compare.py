"""What a comparison finds in stores whose truth is known."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from joulefleet.compare.compare import compare
from joulefleet.compare.results import Comparison, MetricComparison
from joulefleet.errors import QueryError
from joulefleet.query import Store
from tests.support.attempt_rows import STARTED, failed_row, twelve_cell_rows, write_measured, write_store
from tests.support.one_pair import PROOFS, compared, one_pair, timed


def line_of(comparison: Comparison, metric: str, pair: str = "p") -> MetricComparison:
    """Return the only comparison of `pair` by `metric`."""
    lines = (*comparison.proofs, *comparison.per_machine)
    (line,) = [line for line in lines if (line.metric, line.pair) == (metric, pair)]
    return line


def texts(comparison: Comparison, level: str) -> str:
    """Return the caveats of `level` as one text."""
    return "\n".join(caveat.text for caveat in comparison.caveats if caveat.level == level)


def test_ratio_and_medians_of_a_pair(tmp_path: Path) -> None:
    """The student takes half the time; medians are by item, and the interval is over five blocks."""
    line = line_of(compared(tmp_path, one_pair()), "time")
    assert line.ratio.ratio == pytest.approx(0.5, rel=0.01)
    assert line.ratio.n_blocks == 5
    assert line.ratio.p_value is not None
    assert line.reference.median == pytest.approx(2 / 64, rel=0.1)
    assert line.unit == "s"


def test_every_metric_has_a_line(tmp_path: Path) -> None:
    """The order is fixed, with energy first."""
    comparison = compared(tmp_path, one_pair())
    assert [line.metric for line in comparison.per_machine] == ["energy", "time", "cpu_time", "cpu_use", "memory"]


def test_measured_energy_names_its_scope(tmp_path: Path) -> None:
    """A note says that it is not energy at the wall."""
    comparison = compared(tmp_path, one_pair())
    basis = line_of(comparison, "energy").basis
    assert basis is not None
    assert (basis.provenance, basis.scope) == ("measured", "package")
    assert "not energy at the wall" in texts(comparison, "note")


def test_simulated_energy_is_never_called_measured(tmp_path: Path) -> None:
    """Counters in files that are not the kernel's have a basis of their own and a warning."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        return row | {"energy_provenance": "simulated", "sysfs_root": "/simulated"}

    comparison = compared(tmp_path, one_pair(), change)
    basis = line_of(comparison, "energy").basis
    assert basis is not None
    assert basis.provenance == "simulated"
    assert "not measured on these machines" in texts(comparison, "warning")
    assert "/simulated" in texts(comparison, "warning")
    assert "not energy at the wall" not in texts(comparison, "note")


def test_measured_and_simulated_joules_are_not_mixed(tmp_path: Path) -> None:
    """A block of simulated counters does not count among the measured ones."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        return row | ({"energy_provenance": "simulated"} if row["block"] <= 3 else {})

    line = line_of(compared(tmp_path, one_pair(), change), "energy")
    assert line.basis is not None
    assert line.basis.provenance == "measured"
    assert line.ratio.n_blocks == 2


def test_unmeasured_energy_is_modelled_throughout(tmp_path: Path) -> None:
    """Where one arm has no measured joules, both arms' are modelled, and the basis says so."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        lost = {"energy_j": None, "energy_scope": None, "energy_reason": "masked"}
        return row | {"energy_modelled_j": 7.0 * row["window_s"]} | (lost if row["model"] == "small" else {})

    comparison = compared(tmp_path, one_pair(), change)
    line = line_of(comparison, "energy")
    assert line.basis is not None
    assert line.basis.provenance == "modelled"
    assert line.reference.median == pytest.approx(7 * (line_of(comparison, "time").reference.median or 0))
    assert "not measured: idle + busy. Not measured, because: masked." in texts(comparison, "note")


def test_one_unmeasured_block_is_left_out_not_modelled(tmp_path: Path) -> None:
    """Measured and modelled joules are never in one comparison."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        return row | ({"energy_j": None, "energy_reason": "wrapped twice"} if row["block"] == 2 else {})

    comparison = compared(tmp_path, one_pair(), change)
    line = line_of(comparison, "energy")
    assert line.basis is not None
    assert line.basis.provenance == "measured"
    assert line.ratio.n_blocks == 4
    assert line.ratio.exclusions == {"no value": 1}
    assert "Blocks left out: energy per item, no value ×1." in texts(comparison, "warning")


def test_two_scopes_are_not_mixed(tmp_path: Path) -> None:
    """A block measured with dram does not count among blocks measured without."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        return row | ({"energy_scope": "package+dram"} if row["block"] <= 2 else {})

    line = line_of(compared(tmp_path, one_pair(), change), "energy")
    assert line.basis is not None
    assert line.basis.scope == "package"
    assert line.ratio.n_blocks == 3


def test_proofs_come_first_and_hold(tmp_path: Path) -> None:
    """One model against itself is 1.00, and each item twice is 2.00; CPU use and memory have no known ratio."""
    comparison = compared(tmp_path, one_pair(more=PROOFS))
    assert {line.pair for line in comparison.proofs} == {"big+again", "big+twice"}
    assert line_of(comparison, "time", "big+twice").expected_ratio == 2.0
    assert line_of(comparison, "time", "big+twice").proof_holds is True
    assert line_of(comparison, "time", "big+again").proof_holds is True
    assert line_of(comparison, "memory", "big+twice").expected_ratio is None
    assert texts(comparison, "alarm") == ""


def test_failed_proof_is_the_first_thing_said(tmp_path: Path) -> None:
    """An arm that does each item twice and takes no longer is an alarm."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        return row | ({"window_s": row["window_s"] / 2} if row["model"] == "big+twice" else {})

    comparison = compared(tmp_path, one_pair(more=PROOFS), change)
    assert line_of(comparison, "time", "big+twice").proof_holds is False
    assert comparison.caveats[0].level == "alarm"
    assert "PROOF FAILED" in comparison.caveats[0].text
    assert "the truth is 2.00" in comparison.caveats[0].text


def test_implausible_time_ratio_warns(tmp_path: Path) -> None:
    """The number is shown nevertheless."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        return row | ({"window_s": row["window_s"] * 1.9} if row["model"] == "small" else {})

    comparison = compared(tmp_path, one_pair(), change)
    assert line_of(comparison, "time").ratio.ratio == pytest.approx(0.95, rel=0.02)
    assert "suspect the set-up" in texts(comparison, "warning")


def test_marked_trials_stay_and_are_also_left_out(tmp_path: Path) -> None:
    """There is an estimate with and one without them, and the flags are counted by arm."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        flagged = row["model"] == "small" and row["block"] == 1
        return row | ({"flags": ["foreign_cpu"]} if flagged else {})

    comparison = compared(tmp_path, one_pair(), change)
    line = line_of(comparison, "time")
    assert (line.ratio.n_blocks, line.without_flagged.n_blocks, line.flagged_blocks) == (5, 4, 1)
    assert (line.reference.flags, line.other.flags) == ({}, {"foreign_cpu": 1})
    assert "small/sst2 on bench: foreign_cpu ×1 of 5" in texts(comparison, "warning")


def test_failed_trial_leaves_its_block_without_a_pair(tmp_path: Path) -> None:
    """The other four blocks count, and a warning tells the failure."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        if (row["model"], row["block"]) != ("small", 3):
            return row
        same = ("study", "trial_id", "attempt_id", "model", "task", "block", "protocol", "regime", "started_at")
        return failed_row("timeout", **{name: row[name] for name in same})

    comparison = compared(tmp_path, one_pair(), change)
    line = line_of(comparison, "time")
    assert (line.ratio.n_blocks, comparison.facts[0].unpaired_blocks, line.other.failed) == (4, 1, 1)
    assert "one: 1 trial failed (timeout ×1)" in texts(comparison, "warning")


def test_all_students_failed_still_shows_the_teacher(tmp_path: Path) -> None:
    """The comparison has the teacher's value, no ratio, and the reason."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        if row["model"] == "big":
            return row
        same = ("study", "trial_id", "attempt_id", "model", "task", "block", "protocol", "regime", "started_at")
        return failed_row("exception", **{name: row[name] for name in same})

    line = line_of(compared(tmp_path, one_pair(), change), "energy")
    assert line.reference.median is not None
    assert line.other.median is None
    assert line.ratio.interval_reason == "no block: an interval needs 2"


@pytest.mark.parametrize("column", ["regime", "weights_source"])
def test_regimes_and_origins_of_weights_are_never_pooled(tmp_path: Path, column: str) -> None:
    """Blocks that differ in them are compared apart."""
    other = {"regime": "burst", "weights_source": "pretrained"}[column]

    def change(row: dict[str, Any]) -> dict[str, Any]:
        return row | ({column: other} if row["block"] <= 2 else {})

    comparison = compared(tmp_path, one_pair(), change)
    lines = [line for line in comparison.per_machine if line.metric == "time"]
    assert sorted(line.ratio.n_blocks for line in lines) == [2, 3]


def test_protocols_are_never_pooled(tmp_path: Path) -> None:
    """Two protocols of each arm give two comparisons of trials near in time, and a warning."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        late = row["block"] > 3
        when = STARTED + timedelta(days=10 * late, minutes=row["position"])
        return row | {"protocol": f"{row['model']} {'new' if late else 'old'}", "started_at": when}

    comparison = compared(tmp_path, one_pair(), change)
    lines = [line for line in comparison.per_machine if line.metric == "time"]
    protocols = {(line.reference.protocol, line.other.protocol, line.ratio.n_blocks) for line in lines}
    assert protocols == {("big old", "small old", 3), ("big new", "small new", 2)}
    assert "several protocols" in texts(comparison, "warning")


def test_unequal_passes_are_no_pair(tmp_path: Path) -> None:
    """Each arm is shown by itself."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        return row | ({"passes": 2} if row["model"] == "small" else {})

    lines = [line for line in compared(tmp_path, one_pair(), change).per_machine if line.metric == "time"]
    assert [line.ratio.n_blocks for line in lines] == [0, 0]
    assert {line.reference.ok + line.other.ok for line in lines} == {5}


def test_unequal_threads_are_left_out(tmp_path: Path) -> None:
    """The threads that took effect count, not those that were requested."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        return row | ({"threads": 1} if (row["model"], row["block"]) == ("small", 1) else {})

    comparison = compared(tmp_path, one_pair(), change)
    assert comparison.facts[0].unequal_blocks == 1
    assert "unequal work" in texts(comparison, "warning")


def test_trials_of_two_rounds_are_no_pair(tmp_path: Path) -> None:
    """Trials of two rounds of one block were hours apart."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        again = (row["model"], row["block"]) == ("small", 1)
        return row | ({"round": 2} if again else {})

    comparison = compared(tmp_path, one_pair(), change)
    assert (line_of(comparison, "time").ratio.n_blocks, comparison.facts[0].unpaired_blocks) == (4, 1)


def test_different_boots_in_a_block_are_said(tmp_path: Path) -> None:
    """Such blocks count, with a warning."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        return row | ({"boot_id": "other"} if (row["model"], row["block"]) == ("small", 1) else {})

    comparison = compared(tmp_path, one_pair(), change)
    assert comparison.facts[0].boots_differ == 1
    assert "In 1 block the two trials ran in different boots" in texts(comparison, "warning")


def test_unfinished_study_has_estimates_and_no_p_values(tmp_path: Path) -> None:
    """It has five of six blocks."""
    study = one_pair(6)
    rows = [timed(row) for row in twelve_cell_rows(study) if row["block"] < 6]
    with Store.open(write_measured(tmp_path / "store", rows, study)) as store:
        comparison = compare(store)
    line = line_of(comparison, "time")
    assert line.ratio.low is not None
    assert line.ratio.p_reason == "the study is unfinished"
    assert "one is unfinished (2 of 12 trials missing)" in texts(comparison, "note")


def test_several_machines_give_several_lines(tmp_path: Path) -> None:
    """No comparison pools machines."""
    study = one_pair()
    machines = (("m1", "left"), ("m2", "right"))
    rows = [timed(row) for row in twelve_cell_rows(study, machines=machines)]
    with Store.open(write_measured(tmp_path / "store", rows, study, machines=machines)) as store:
        comparison = compare(store, metrics=["time"])
    assert [(line.machine, line.ratio.n_blocks) for line in comparison.per_machine] == [("left", 5), ("right", 5)]
    assert "2 machines" in texts(comparison, "note")


def test_levels_of_factors_give_several_lines(tmp_path: Path) -> None:
    """Each batch size has a comparison of its own."""
    comparison = compared(tmp_path, one_pair(more="factors: {batch_size: [1, 8]}"))
    lines = [line for line in comparison.per_machine if line.metric == "time"]
    assert [line.setting.batch_size for line in lines] == [1, 8]


def test_burst_and_seeded_are_said(tmp_path: Path) -> None:
    """One note calls it a demonstration, another says why it has no quality."""
    comparison = compared(tmp_path, one_pair(), lambda row: row | {"regime": "burst"})
    assert "a demonstration" in texts(comparison, "note")
    assert "quality is null, because the weights are seeded." in texts(comparison, "note")


def test_few_blocks_are_said(tmp_path: Path) -> None:
    """A note says why there is no p-value."""
    assert "3 blocks: too few for a p-value" in texts(compared(tmp_path, one_pair(3)), "note")


def test_what_is_primary_is_said(tmp_path: Path) -> None:
    """A note describes the primary family and what is not part of it."""
    text = texts(compared(tmp_path, one_pair()), "note")
    assert "energy per item of every pair on every task, at 0.05, one test" in text
    assert "Every other metric is secondary" in text


def test_store_without_studies_compares_nothing(tmp_path: Path) -> None:
    """The comparison is empty, and no error is raised."""
    with Store.open(write_store(tmp_path / "store", [])) as store:
        comparison = compare(store)
    assert (comparison.per_machine, comparison.proofs, comparison.caveats) == ((), (), ())


def test_names_that_are_not_there_are_refused(tmp_path: Path) -> None:
    """The cure has the nearest name that exists, or all of them."""
    study = one_pair()
    with Store.open(write_store(tmp_path / "store", [], study)) as store:
        with pytest.raises(QueryError, match="Did you mean one"):
            compare(store, study="ones")
        with pytest.raises(QueryError, match="There are p"):
            compare(store, pair="bert")
        with pytest.raises(QueryError, match="Did you mean energy"):
            compare(store, metrics=["enrgy"])


def test_an_arm_that_is_always_first_is_said(tmp_path: Path) -> None:
    """A drift within blocks would look like an effect of the model."""

    def turned(row: dict[str, Any]) -> dict[str, Any]:
        turn = timedelta(minutes=3) if row["block"] == 4 and row["model"] == "big" else timedelta()
        return row | {"started_at": row["started_at"] + turn}

    always, turns = compared(tmp_path / "a", one_pair(8)), compared(tmp_path / "b", one_pair(8), turned)
    assert "One arm ran first in every block (big on sst2)" in texts(always, "warning")
    assert "ran first" not in texts(turns, "warning")
