"""The macros of an opened store."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from joulefleet.compare.compare import compare
from joulefleet.errors import QueryError
from joulefleet.query import Store
from tests.support.attempt_rows import attempt_row, failed_row, study_from, twelve_cell_rows, write_store
from tests.support.one_pair import PROOFS, one_pair, timed

MEASURED = {"energy_scope": "package", "energy_source": "powercap", "energy_provenance": "measured"}


def rows_of(store: Path, query: str) -> list[dict[str, Any]]:
    """Return the result of `query`."""
    with Store.open(store) as opened:
        answer: list[dict[str, Any]] = opened.arrow(query).to_pylist()
        return answer


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("net_energy_j(100.0, 20, 3)", 40.0),
        ("net_energy_j(100.0, null, 3)", None),
        ("wh_per_1000_items(7200.0, 500)", 4.0),
        ("wh_per_1000_items(7200.0, 0)", None),
        ("wh_per_1000_items(null, 500)", None),
        ("grams_co2e(3.6e6, 400)", 400.0),
        ("grams_co2e(null, 400)", None),
        ("grams_co2e(1.8e6, g_per_kwh := 50)", 25.0),
    ],
)
def test_conversions(tmp_path: Path, call: str, value: float | None) -> None:
    """The values are computed by hand; null stays null."""
    assert rows_of(write_store(tmp_path / "s", []), f"select {call} v") == [{"v": value}]


def test_net_energy_is_that_of_the_view(tmp_path: Path) -> None:
    """Macro and column have one definition."""
    rows = [attempt_row(energy_j=80.0, baseline_s=2.0, baseline_j=10.0, energy_reason=None, **MEASURED)]
    query = "select energy_net_j a, net_energy_j(energy_j, baseline_w, window_s) b from trials"
    assert rows_of(write_store(tmp_path / "s", rows), query) == [{"a": 70.0, "b": 70.0}]


def test_log_ratios_are_those_that_compare_uses(tmp_path: Path) -> None:
    """The mean of a line's log ratios gives the ratio of the line."""
    study = one_pair(repetitions=4, more=PROOFS)
    store = write_store(tmp_path / "s", [timed(row) for row in twelve_cell_rows(study)], study)
    query = "select pair, metric, exp(avg(log_ratio)) r, count(*) n from paired_log_ratios() group by all"
    by_macro = {(row["pair"], row["metric"]): (row["r"], row["n"]) for row in rows_of(store, query)}
    with Store.open(store) as opened:
        comparison = compare(opened)
    by_compare = {(line.pair, line.metric): line.ratio.ratio for line in (*comparison.per_machine, *comparison.proofs)}
    for pair in ("p", "big+again", "big+twice"):
        for metric in ("energy", "time", "cpu_time"):
            assert by_macro[pair, metric] == (pytest.approx(by_compare[pair, metric]), 4)
    assert {metric for _, metric in by_macro} == {"energy", "energy_modelled", "time", "cpu_time", "cpu_use", "memory"}


def test_a_log_ratio_by_hand(tmp_path: Path) -> None:
    """1 s against 2 s for 64 items in one block is ln 1/2; a trial without a partner has no row."""
    study = one_pair(repetitions=1)
    common = {"study": "one", "protocol": "p", "regime": "sustained"}
    rows = [
        attempt_row(trial_id="t1", model="big", window_s=2.0, **common),
        attempt_row(trial_id="s1", model="small", window_s=1.0, **common),
        attempt_row(trial_id="t2", model="big", block=2, window_s=2.0, **common),
        failed_row(trial_id="s2", model="small", block=2, **common),
        attempt_row(trial_id="s3", model="small", block=3, **common),
        attempt_row(trial_id="t4", model="big", block=4, **common),
        attempt_row(trial_id="s4", model="small", block=4, round=2, **common),
        attempt_row(trial_id="t5", model="big", block=5, **common),
        attempt_row(trial_id="s5", model="small", block=5, machine_id="other", **common),
        attempt_row(trial_id="t6", model="big", block=6, **common),
        attempt_row(trial_id="s6", model="small", block=6, items=32, **common),
        attempt_row(trial_id="t7", model="big", block=7, batch_size=8, **common),
        attempt_row(trial_id="s7", model="small", block=7, **common),
    ]
    store = write_store(tmp_path / "s", rows, study)
    (row,) = rows_of(store, "from paired_log_ratios('one') where metric = 'time'")
    assert (row["teacher_trial_id"], row["student_trial_id"], row["block"], row["machine"]) == ("t1", "s1", 1, "bench")
    assert (row["teacher_value"], row["student_value"]) == (2 / 64, 1 / 64)
    assert row["log_ratio"] == pytest.approx(math.log(0.5))
    assert rows_of(store, "from paired_log_ratios('another')") == []


def test_joules_of_two_origins_are_no_pair(tmp_path: Path) -> None:
    """Measured and simulated joules are not paired, nor joules of two scopes."""
    study = one_pair(repetitions=1)
    common = {"study": "one", "protocol": "p", "regime": "sustained", "energy_reason": None}
    rows = [
        attempt_row(trial_id="t1", model="big", energy_j=2.0, **common, **MEASURED),
        attempt_row(
            trial_id="s1", model="small", energy_j=1.0, **common, **MEASURED | {"energy_provenance": "simulated"}
        ),
        attempt_row(trial_id="t2", model="big", block=2, energy_j=2.0, **common, **MEASURED),
        attempt_row(
            trial_id="s2", model="small", block=2, energy_j=1.0, **common, **MEASURED | {"energy_scope": "package+dram"}
        ),
    ]
    store = write_store(tmp_path / "s", rows, study)
    query = "select metric, basis, count(*) n from paired_log_ratios() where unit = 'J/item' group by all"
    assert rows_of(store, query) == [{"metric": "energy_modelled", "basis": "modelled idle + busy", "n": 2}]


def models(*facts: tuple[str, float | None, float, float | None]) -> list[dict[str, Any]]:
    """Return one trial of each model; `facts` are name, joules, seconds and quality."""
    return [
        attempt_row(
            trial_id=name,
            model=name,
            energy_j=joules,
            window_s=seconds,
            quality=quality,
            quality_metric=None if quality is None else "accuracy",
            **MEASURED,
        )
        for name, joules, seconds, quality in facts
    ]


def front(store: Path, call: str = "pareto_front()") -> set[str]:
    """Return the models on the front."""
    return {row["model"] for row in rows_of(store, f"from {call}")}


def test_who_is_beaten_in_everything_is_not_on_the_front(tmp_path: Path) -> None:
    """The fastest, the most economical and the best stay; of two equal models both stay."""
    facts = (
        ("fast", 50.0, 1.0, 0.8),
        ("thrifty", 10.0, 3.0, 0.8),
        ("good", 60.0, 4.0, 0.9),
        ("second", 60.0, 2.0, 0.8),
        ("twin", 50.0, 1.0, 0.8),
    )
    assert front(write_store(tmp_path / "s", models(*facts))) == {"fast", "thrifty", "good", "twin"}


def test_what_not_all_models_have_does_not_count(tmp_path: Path) -> None:
    """If one model lacks joules, energy is not compared; the same holds for quality."""
    store = write_store(tmp_path / "s", models(("fast", None, 1.0, 0.8), ("thrifty", 10.0, 3.0, None)))
    (row,) = rows_of(store, "from pareto_front()")
    assert (row["model"], row["j_per_item"], row["energy_basis"], row["quality"]) == ("fast", None, None, None)


def test_the_front_by_modelled_joules_is_asked_for_by_name(tmp_path: Path) -> None:
    """The result says so, and measured joules are not used."""
    rows = models(("fast", 10.0, 1.0, None), ("thrifty", 20.0, 3.0, None))
    rows[1]["energy_modelled_j"] = 6.4
    store = write_store(tmp_path / "s", rows)
    assert front(store) == {"fast"}
    assert front(store, "pareto_front(modelled := true)") == {"fast", "thrifty"}
    query = "select j_per_item j, energy_basis b from pareto_front(modelled := true) where model = 'thrifty'"
    assert rows_of(store, query) == [{"j": 0.1, "b": "modelled idle + busy"}]


def test_settings_and_proofs_stand_apart(tmp_path: Path) -> None:
    """A model is beaten only in its own task and factors, and the second arm of a proof is no model."""
    study = one_pair(repetitions=2, more=PROOFS)
    store = write_store(tmp_path / "s", [timed(row) for row in twelve_cell_rows(study)], study)
    assert front(store) == {"small"}
    assert front(store, "pareto_front('nothing')") == set()
    other = [attempt_row(trial_id="a"), attempt_row(trial_id="b", model="slow", task="stsb", window_s=9.0)]
    assert front(write_store(tmp_path / "other", other)) == {"bert", "slow"}


def test_macros_cannot_be_changed(tmp_path: Path) -> None:
    """A query creates none and drops none."""
    twelve = study_from()
    store = write_store(tmp_path / "s", twelve_cell_rows(twelve), twelve)
    with Store.open(store) as opened:
        for query in ("create or replace macro grams_co2e(a, b) as 0", "drop macro grams_co2e"):
            with pytest.raises(QueryError, match="not a query"):
                opened.arrow(query)
