"""The roles of findings, and the correction of their p-values."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from joulefleet.compare.compare import compare
from joulefleet.compare.results import Comparison, PooledFinding
from joulefleet.query import Store
from joulefleet.stats.multiplicity import holm
from joulefleet.study.spec import Study
from tests.support.attempt_rows import (
    STARTED,
    TWELVE_CELLS,
    study_from,
    twelve_cell_rows,
    write_measured,
    write_store,
    write_study,
)
from tests.support.one_pair import compared, one_pair, timed
from tests.support.studies import changed

FIVE = changed(TWELVE_CELLS, {"repetitions": 5})


def of_twelve(path: Path, more: str = "", **asked: Any) -> Comparison:
    """Return the comparison of a finished study of twelve cells that states `more`."""
    study = study_from(FIVE + more)
    with Store.open(write_measured(path / "store", twelve_cell_rows(study), study)) as store:
        return compare(store, **asked)


def roles(comparison: Comparison) -> dict[tuple[str, str | None, str], str]:
    """Return the role of each finding by pair, task and metric."""
    return {(f.pair, f.setting.task, f.metric): f.role for f in comparison.findings}


def of_metric(comparison: Comparison, metric: str) -> list[PooledFinding]:
    """Return the findings by `metric`."""
    return [finding for finding in comparison.findings if finding.metric == metric]


def test_by_default_energy_of_every_pair_on_every_task_is_primary(tmp_path: Path) -> None:
    """The other metrics are secondary, each a family of its own, corrected by Holm."""
    comparison = of_twelve(tmp_path)
    found = roles(comparison)
    assert {role for (_, _, metric), role in found.items() if metric == "energy"} == {"primary"}
    assert {role for (_, _, metric), role in found.items() if metric == "time"} == {"secondary"}
    times = of_metric(comparison, "time")
    adjusted = holm([finding.p_value or 1 for finding in times])
    assert [finding.p_adjusted for finding in times] == adjusted
    assert {finding.family_size for finding in times} == {6}
    assert all("by Holm over 6" in finding.sentence for finding in times)


def test_what_is_not_stated_is_exploratory(tmp_path: Path) -> None:
    """Another pair and another task are not part of the family."""
    comparison = of_twelve(tmp_path, "primary: {metric: time, pairs: [bert], tasks: [sst2, mnli]}\n")
    found = roles(comparison)
    assert found["bert", "sst2", "time"] == "primary"
    assert found["bert", "mnli", "energy"] == "secondary"
    assert found["bert", "stsb", "time"] == found["gpt2", "sst2", "time"] == "exploratory"
    assert {f.family_size for f in of_metric(comparison, "time") if f.role == "primary"} == {2}
    (exploratory, *_) = [f for f in of_metric(comparison, "time") if f.role == "exploratory"]
    assert (exploratory.p_adjusted, exploratory.family_size) == (None, 0)
    assert "p =" not in exploratory.sentence


def test_looking_at_one_pair_does_not_make_the_family_smaller(tmp_path: Path) -> None:
    """The family is what was stated, not what is shown."""
    all_of_it = of_metric(of_twelve(tmp_path / "all"), "time")
    one = of_metric(of_twelve(tmp_path / "one", pair="bert"), "time")
    assert [f.p_adjusted for f in one] == [f.p_adjusted for f in all_of_it if f.pair == "bert"]


def test_what_was_stated_after_trials_had_begun_is_exploratory(tmp_path: Path) -> None:
    """A warning says how many trials; another change of the study is no change of the statement."""
    first, second = study_from(FIVE), study_from(FIVE + "primary: {metric: time}\n")
    root = write_measured(tmp_path / "store", twelve_cell_rows(first), first)
    late = STARTED + timedelta(minutes=30)
    write_study(root, second, requested_at=late)
    with Store.open(root) as store:
        comparison = compare(store)
    assert {finding.role for finding in comparison.findings} == {"exploratory"}
    (family,) = comparison.families
    assert family.changed_after == 30
    assert "changed after 30 trials had begun" in comparison.caveats[0].text
    more = study_from(changed(FIVE, {"repetitions": 6}))
    again = write_measured(tmp_path / "again", twelve_cell_rows(first), first)
    write_study(again, more, requested_at=late)
    with Store.open(again) as store:
        assert compare(store).families[0].changed_after == 0


def test_margins_are_judged_by_the_primary_metric(tmp_path: Path) -> None:
    """A student that needs half is not inferior, and not equivalent."""
    comparison = of_twelve(
        tmp_path, "primary: {metric: time, non_inferior_percent: 5, equivalent_percent: 10}\n", pair="bert"
    )
    (finding, *_) = of_metric(comparison, "time")
    kinds = {within.kind: within.test.holds for within in finding.within}
    assert kinds == {"non-inferior": True, "equivalent": False}
    assert "at most 5 % more and not shown to be equivalent within 10 %." in finding.sentence
    assert all(finding.within == () for finding in of_metric(comparison, "energy"))


def test_alpha_sets_the_width_and_is_said(tmp_path: Path) -> None:
    """It is the stated alpha, or the requested one with a note."""
    (stated,) = of_metric(compared(tmp_path / "a", one_pair(more="primary: {alpha: 0.1}")), "time")
    assert stated.machines[0].ratio.confidence == pytest.approx(0.9)
    study = one_pair()
    rows = [timed(row) for row in twelve_cell_rows(study)]
    with Store.open(write_measured(tmp_path / "b", rows, study)) as store:
        asked = compare(store, alpha=0.01)
    assert of_metric(asked, "time")[0].machines[0].ratio.confidence == pytest.approx(0.99)
    assert any("states an alpha of 0.05; shown is 0.01" in caveat.text for caveat in asked.caveats)


def test_stated_exclusions_leave_blocks_out_of_both_arms_and_are_shown_with_them(tmp_path: Path) -> None:
    """A flag on one trial excludes its block, and a check has the estimate with it."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        spoilt = row["block"] == 2 and row["model"] == "small"
        return row | ({"flags": ["throttled"], "window_s": 9.0} if spoilt else {})

    comparison = compared(tmp_path, one_pair(7, "primary: {exclude_flags: [throttled]}"), change)
    (line,) = [line for line in comparison.per_machine if line.metric == "time"]
    assert line.ratio.n_blocks == 6
    assert line.ratio.ratio == pytest.approx(0.5, rel=0.02)
    assert line.checks.with_excluded is not None
    assert line.checks.with_excluded.n_blocks == 7
    assert "1 block left out for their flags" in " ".join(caveat.text for caveat in comparison.caveats)


def test_a_block_far_off_is_named_and_kept(tmp_path: Path) -> None:
    """A check has the estimate without it."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        return row | ({"window_s": row["window_s"] * 1.3} if (row["model"], row["block"]) == ("small", 4) else {})

    comparison = compared(tmp_path, one_pair(8), change)
    (line,) = [line for line in comparison.per_machine if line.metric == "time"]
    assert 4 in line.checks.outliers
    assert line.ratio.n_blocks == 8
    assert line.checks.without_outliers is not None
    assert line.checks.without_outliers.n_blocks == 8 - len(line.checks.outliers)
    assert "block 4" in " ".join(caveat.text for caveat in comparison.caveats if caveat.level == "warning")


def test_a_study_with_pilot_blocks_rests_on_their_variance(tmp_path: Path) -> None:
    """Where only the pilot blocks are noisy the interval stays wide."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        noise = 1.05 if row["block"] <= 10 and row["block"] % 2 and row["model"] == "small" else 1.0
        return row | {"window_s": row["window_s"] * noise}

    stated = "primary: {metric: time, precision_percent: 3, pilot_blocks: 10}"
    two, plain = (compared(tmp_path / name, one_pair(30, more), change) for name, more in (("2", stated), ("1", "")))
    (line,), (fixed,) = ([line for line in of.per_machine if line.metric == "time"] for of in (two, plain))
    assert "Stein" in line.ratio.method
    assert line.ratio.degrees == 9
    assert fixed.ratio.degrees == 29
    assert line.ratio.ratio == fixed.ratio.ratio
    assert (line.ratio.high or 0) - (line.ratio.low or 0) > 1.3 * ((fixed.ratio.high or 0) - (fixed.ratio.low or 0))


def test_the_statement_is_in_the_record_of_the_study(tmp_path: Path) -> None:
    """A record without a statement has the default one."""
    study: Study = study_from(FIVE)
    root = write_store(tmp_path / "store", [], study)
    (file,) = (root / "studies").iterdir()
    data = json.loads(file.read_text())
    assert data["study"]["primary"]["metric"] == "energy"
    del data["study"]["primary"]
    file.write_text(json.dumps(data))
    with Store.open(root) as store:
        assert compare(store).families[0].stated == study.primary


def test_a_pair_that_is_dropped_after_the_data_changes_the_family(tmp_path: Path) -> None:
    """A smaller family would need a smaller correction."""
    first = study_from(FIVE)
    second = study_from(changed(FIVE, {}, without=("pairs.gpt2",)))
    assert set(second.pairs) == {"bert"}
    root = write_measured(tmp_path / "store", twelve_cell_rows(first), first)
    write_study(root, second, requested_at=STARTED + timedelta(days=1))
    with Store.open(root) as store:
        comparison = compare(store)
    assert comparison.families[0].changed_after == 60
    assert {finding.role for finding in comparison.findings} == {"exploratory"}


def test_blocks_added_after_a_look_are_exploratory(tmp_path: Path) -> None:
    """Blocks that follow pilot blocks for a stated precision are not counted as added."""
    for stated, expected in (("", 10), ("primary: {metric: time, precision_percent: 3, pilot_blocks: 10}", None)):
        few, more = one_pair(10, stated), one_pair(12, stated)
        rows = [timed(row) for row in twelve_cell_rows(more)]
        late = STARTED + timedelta(days=1)
        rows = [row | ({"started_at": late + timedelta(hours=1)} if row["block"] > 10 else {}) for row in rows]
        root = write_measured(tmp_path / f"store{expected}", rows, few)
        write_study(root, more, requested_at=late)
        with Store.open(root) as store:
            comparison = compare(store)
        assert comparison.families[0].extended_after == expected
        roles_of = {finding.role for finding in of_metric(comparison, "time")}
        assert roles_of == ({"exploratory"} if expected else {"primary"})


def test_margins_are_corrected_for_their_family(tmp_path: Path) -> None:
    """The tests of one kind are corrected together by Holm."""
    comparison = of_twelve(tmp_path, "primary: {metric: time, non_inferior_percent: 5}\n")
    within = [finding.within[0] for finding in of_metric(comparison, "time")]
    assert [one.p_adjusted for one in within] == holm([one.test.p_value for one in within])


def test_another_alpha_than_the_stated_one_is_exploratory(tmp_path: Path) -> None:
    """A level that is chosen after the data was not stated."""
    assert {finding.role for finding in of_twelve(tmp_path, alpha=0.4).findings} == {"exploratory"}


def test_what_is_excluded_is_put_back_in_its_place(tmp_path: Path) -> None:
    """Excluded pilot blocks count as pilot blocks again in the check."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        return row | {"flags": ["throttled"] if row["block"] in {3, 4, 5} else []}

    stated = "precision_percent: 3, pilot_blocks: 10"
    flagged = compared(tmp_path / "m", one_pair(20, f"primary: {{exclude_flags: [throttled], {stated}}}"), change)
    whole = compared(tmp_path / "w", one_pair(20, f"primary: {{{stated}}}"), change)
    (line,), (same,) = ([line for line in of.per_machine if line.metric == "time"] for of in (flagged, whole))
    assert line.checks.with_excluded is not None
    assert line.checks.with_excluded.error == same.ratio.error


def test_a_value_that_is_no_number_ends_nothing(tmp_path: Path) -> None:
    """Its block is excluded, and the reason is counted."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        return row | ({"window_s": float("nan")} if (row["model"], row["block"]) == ("small", 2) else {})

    (line,) = [line for line in compared(tmp_path, one_pair(), change).per_machine if line.metric == "time"]
    assert line.ratio.exclusions == {"value not finite": 1}
    assert line.checks.cliffs_delta is not None
