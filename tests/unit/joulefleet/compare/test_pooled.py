"""Findings over several machines whose true ratios are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from joulefleet.compare.compare import compare
from joulefleet.compare.results import Comparison, PooledFinding
from joulefleet.query import Store
from tests.support.attempt_rows import twelve_cell_rows, write_measured
from tests.support.one_pair import Change, one_pair, timed, unchanged


def over(path: Path, count: int, change: Change = unchanged, **asked: Any) -> Comparison:
    """Return the comparison of `count` machines of six CPU models, where the student takes half the time."""
    study = one_pair()
    machines = [(f"id-{number}", f"node{number}") for number in range(count)]
    rows = [change(timed(row) | {"cpu_model": f"CPU {_number(row) % 6}"}) for row in _rows(study, machines)]
    with Store.open(write_measured(path / "store", rows, study, machines=machines)) as store:
        return compare(store, **asked)


def _rows(study: Any, machines: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    return twelve_cell_rows(study, machines=machines)


def _number(row: dict[str, Any]) -> int:
    return int(row["machine_id"].split("-")[1])


def finding(comparison: Comparison, metric: str) -> PooledFinding:
    """Return the only finding by `metric`."""
    (found,) = [found for found in comparison.findings if found.metric == metric]
    return found


def noisy(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row with a factor that differs a little between machines."""
    factor = 1 + 0.01 * ((_number(row) * 7) % 5) if row["model"] == "small" else 1.0
    return row | {"window_s": row["window_s"] * factor, "energy_j": row["energy_j"] * factor}


def test_thirty_machines_on_one_of_which_the_effect_is_absent(tmp_path: Path) -> None:
    """The sentence names that machine, and spread and prediction interval become wider."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        absent = 1.96 if _number(row) == 7 and row["model"] == "small" else 1.0
        row = noisy(row)
        return row | {"energy_j": row["energy_j"] * absent}

    found = finding(over(tmp_path, 30, change), "energy")
    without = finding(over(tmp_path / "all", 30, noisy), "energy")
    assert found.on_every_machine is False
    assert without.on_every_machine is True
    assert found.pooled is not None
    assert without.pooled is not None
    assert (found.pooled.unit, found.pooled.units, found.pooled.machines) == ("cpu_model", 6, 30)
    assert found.pooled.check is not None
    assert without.pooled.check is not None
    assert found.pooled.check.spread > 2 * without.pooled.check.spread - 1
    assert found.pooled.check.prediction_high is not None
    assert without.pooled.check.prediction_high is not None
    assert found.pooled.check.prediction_high > without.pooled.check.prediction_high
    assert "but not on each of them (node7: " in found.sentence
    assert (
        "in the mean of 30 machines of 6 CPU models, each counted once, and less on every one of them (p < 0.0001)."
        in without.sentence
    )
    assert without.sentence.startswith("On sst2, small needs 0.5")
    assert "of big's package energy per item" in without.sentence


def test_one_machine_speaks_for_itself_and_two_have_no_mean(tmp_path: Path) -> None:
    """Neither has a mean over machines."""
    one = finding(over(tmp_path / "one", 1), "time")
    assert one.pooled is None
    assert one.sentence.endswith("of big's time per item, on node0 alone (p < 0.0001).")
    two = finding(over(tmp_path / "two", 2, noisy), "time")
    assert two.pooled is not None
    assert two.pooled.ratio is None
    assert " on node0 (p < 0.0001 by Holm over 2) and " in two.sentence
    assert two.on_every_machine is True


def test_the_scope_is_the_one_that_all_machines_have(tmp_path: Path) -> None:
    """Where some machines measure dram too, the package is compared over all of them."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        package = {"energy_package_j": row["energy_j"]}
        dram = {"energy_scope": "package+dram", "energy_j": 1.5 * row["energy_j"]} if _number(row) < 3 else {}
        return noisy(row) | package | dram

    comparison = over(tmp_path, 4, change, every_machine=True)
    found = finding(comparison, "energy")
    assert found.basis is not None
    assert found.basis.scope == "package"
    assert len(found.machines) == 4
    bases = {line.machine: line.basis for line in comparison.per_machine if line.metric == "energy"}
    assert {name: basis and basis.scope for name, basis in bases.items()}["node0"] == "package+dram"


def test_a_machine_without_counters_is_left_out_and_named(tmp_path: Path) -> None:
    """The energy of the fourth machine is not replaced by a modelled one."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        lost = {"energy_j": None, "energy_scope": None, "energy_provenance": None, "energy_reason": "masked"}
        return noisy(row) | {"energy_modelled_j": 7.0} | (lost if _number(row) == 2 else {})

    found = finding(over(tmp_path, 4, change), "energy")
    assert found.basis is not None
    assert found.basis.provenance == "measured"
    assert list(found.left_out) == ["node2"]
    assert found.on_every_machine is None
    assert "in the mean of 3 machines" in found.sentence


def test_an_unfinished_study_has_no_p_value_over_machines(tmp_path: Path) -> None:
    """The same holds within a machine."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        return noisy(row) | ({"kind": "pilot"} if row["block"] == 5 else {})

    found = finding(over(tmp_path, 4, change), "time")
    assert found.pooled is not None
    assert found.pooled.low is not None
    assert found.pooled.p_value is None
    whole = finding(over(tmp_path / "whole", 4, noisy), "time").pooled
    assert whole is not None
    assert whole.p_value == pytest.approx(0, abs=1e-4)


def test_the_basis_of_a_finding_is_that_of_most_blocks(tmp_path: Path) -> None:
    """The scope that two of five blocks have does not exclude the other three."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        dram = {"energy_scope": "package+dram", "energy_j": 1.5 * row["energy_j"]} if row["block"] <= 2 else {}
        return row | {"energy_package_j": row["energy_j"]} | dram

    found = finding(over(tmp_path, 1, change), "energy")
    assert found.basis is not None
    assert (found.basis.scope, found.machines[0].ratio.n_blocks) == ("package", 5)


def test_machines_of_two_cpu_models_have_a_mean_and_no_p_value(tmp_path: Path) -> None:
    """Six machines of two models are no independent replicates."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        return noisy(row) | {"cpu_model": f"CPU {_number(row) % 2}"}

    comparison = over(tmp_path, 6, change)
    found = finding(comparison, "time")
    assert found.pooled is not None
    assert found.pooled.low is not None
    assert (found.p_value, found.pooled.shared_models) == (None, True)
    assert any("no independent replicates" in caveat.text for caveat in comparison.caveats)


def test_a_machine_that_is_left_out_is_named_with_its_reason(tmp_path: Path) -> None:
    """A warning gives the name and the reason."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        lost = {"energy_j": None, "energy_scope": None, "energy_provenance": None, "energy_reason": "masked"}
        return noisy(row) | (lost if _number(row) == 2 else {})

    warnings = " ".join(caveat.text for caveat in over(tmp_path, 4, change).caveats)
    assert "Not in the mean: node2 (no energy of this kind: masked): energy per item on sst2." in warnings
