"""The value of each metric in one trial, and the basis of energy."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from joulefleet.compare.metrics import METRICS, Basis, TrialValues, choose_basis, load_trials
from joulefleet.query import Store
from tests.support.attempt_rows import attempt_row, failed_row, write_store
from tests.support.comparison_records import MODELLED, PACKAGE, metric_of, trial

WITH_DRAM = replace(PACKAGE, scope="package+dram")
SIMULATED = replace(PACKAGE, provenance="simulated")


def test_costs_are_by_item_and_use_is_not() -> None:
    """A trial without items has no cost by item, unless it is an imported run."""
    values = trial(cpu_seconds=4.0, cpu_percent=200.0, work_peak_bytes=10, joules={PACKAGE: 64.0})
    assert [metric.value(values, PACKAGE) for metric in METRICS] == [1.0, 2 / 64, 4 / 64, 200.0, 10, None]
    assert metric_of("energy").value(values, MODELLED) is None
    assert metric_of("energy").value(values, None) is None
    assert metric_of("time").value(trial(items=None), None) is None
    run = trial(items=None, imported_from="a tool")
    assert metric_of("time").value(run, None) == 2.0
    assert metric_of("time").title_of(run) == "time per run"
    assert metric_of("time").title_of(values) == "time per item"


def test_the_basis_is_counted_before_modelled() -> None:
    """Measured joules are preferred to simulated ones, then more blocks, then the fuller scope."""
    assert choose_basis(Counter({MODELLED: 9, SIMULATED: 8, PACKAGE: 1})) == PACKAGE
    assert choose_basis(Counter({MODELLED: 9, SIMULATED: 1})) == SIMULATED
    assert choose_basis(Counter({WITH_DRAM: 2, PACKAGE: 3})) == PACKAGE
    assert choose_basis(Counter({WITH_DRAM: 3, PACKAGE: 3})) == WITH_DRAM
    assert choose_basis(Counter()) is None


def test_trials_are_read_with_their_joules_on_each_basis(tmp_path: Path) -> None:
    """Failed trials are read too, and labels of Joulefleet's own trials are no factors."""
    measured = {"energy_j": 8.0, "energy_scope": "package+dram", "energy_source": "powercap", "energy_package_j": 6.0}
    rows = [
        attempt_row(trial_id="a", block=2, energy_provenance="measured", labels={"rack": "1"}, **measured),
        failed_row(trial_id="b", block=1),
    ]
    with Store.open(write_store(tmp_path / "s", rows)) as store:
        failed, ok = load_trials(store, "fake")
        assert load_trials(store, "another") == []
    assert (failed.status, failed.flags, failed.joules) == ("failed", [], {})
    assert (ok.block, ok.imported_labels, ok.imported_levels) == (2, None, None)
    assert {basis: joules for basis, joules in ok.joules.items() if basis.provenance == "measured"} == {
        PACKAGE: 6.0,
        WITH_DRAM: 8.0,
    }


@pytest.mark.parametrize("name", [metric.column for metric in METRICS if metric.column is not None])
def test_every_metric_names_a_column(name: str) -> None:
    """It is a field of the values that are read."""
    assert name in TrialValues._fields


def test_a_basis_tells_sources_apart() -> None:
    """Two formulas of modelled energy are never mixed."""
    other = Basis(provenance="modelled", scope=None, source="another formula")
    assert choose_basis(Counter({MODELLED: 1, other: 2})) == other
