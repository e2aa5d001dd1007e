"""Comparisons by another factor than the model, in stores whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from joulefleet.compare.compare import compare
from joulefleet.compare.results import Comparison, MetricComparison
from joulefleet.errors import QueryError
from joulefleet.query import Store
from tests.support.attempt_rows import twelve_cell_rows, write_measured
from tests.support.one_pair import one_pair, timed, unchanged

Rows = Callable[[dict[str, Any]], dict[str, Any]]
IN_CONTAINER = {"big": 1.02, "small": 1.10}
"""Factor by which a container makes each model slower."""


def by(path: Path, factor: str, change: Rows = unchanged, *, more: str = "", **asked: Any) -> Comparison:
    """Return the comparison of a study of one pair by `factor`; by environment, each trial ran in a container too."""
    study = one_pair(more=more)
    rows = [timed(row) for row in twelve_cell_rows(study)]
    if factor == "environment":
        rows += [_in_container(row) for row in rows]
    with Store.open(write_measured(path / "store", [change(row) for row in rows], study)) as store:
        return compare(store, by=factor, metrics=["time"], **asked)


def _in_container(row: dict[str, Any]) -> dict[str, Any]:
    return row | {
        "environment": "container",
        "trial_id": f"{row['trial_id']} container",
        "attempt_id": f"{row['attempt_id']}-container",
        "window_s": row["window_s"] * IN_CONTAINER[row["model"]] * (1 + 0.0001 * (row["block"] % 3 - 1)),
    }


def only(lines: tuple[MetricComparison, ...], model: str | None) -> MetricComparison:
    """Return the only comparison of `model`."""
    (line,) = [line for line in lines if line.setting.model == model]
    return line


def texts(comparison: Comparison, level: str) -> str:
    """Return the caveats of `level` as one text."""
    return "\n".join(caveat.text for caveat in comparison.caveats if caveat.level == level)


def test_environments_are_compared_within_blocks(tmp_path: Path) -> None:
    """Each model is compared with itself, and all findings are exploratory."""
    comparison = by(tmp_path, "environment")
    for model, factor in IN_CONTAINER.items():
        line = only(comparison.per_machine, model)
        assert line.ratio.ratio == pytest.approx(factor, rel=1e-3)
        assert (line.reference.level, line.other.level, line.ratio.n_blocks) == ("bare", "container", 5)
    assert {finding.role for finding in comparison.findings} == {"exploratory"}
    assert "exploratory" in texts(comparison, "note")


def test_the_interaction_of_model_and_environment_is_the_ratio_of_their_ratios(tmp_path: Path) -> None:
    """In the container the student saves less."""
    (line,) = by(tmp_path, "environment").interactions
    assert line.kind == "interaction"
    assert line.ratio.ratio == pytest.approx(IN_CONTAINER["small"] / IN_CONTAINER["big"], rel=1e-9)
    assert line.other.median == pytest.approx(0.5 * 1.10 / 1.02, rel=0.02)


def test_environments_with_other_libraries_are_not_compared(tmp_path: Path) -> None:
    """The ratio would be that of the libraries."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        return row | ({"libraries": {"torch": "2.12.0"}} if row["environment"] == "container" else {})

    comparison = by(tmp_path, "environment", change)
    assert only(comparison.per_machine, "big").ratio.n_blocks == 0
    assert "different libraries" in texts(comparison, "warning")


def test_the_reference_may_be_chosen(tmp_path: Path) -> None:
    """With the other level as reference the ratio is inverted."""
    comparison = by(tmp_path, "environment", reference="container")
    assert only(comparison.per_machine, "small").ratio.ratio == pytest.approx(1 / 1.10, rel=1e-3)
    assert "small in bare needs 0.909" in " ".join(finding.sentence for finding in comparison.findings)


def test_levels_of_a_factor_need_not_do_the_same_passes(tmp_path: Path) -> None:
    """Costs are compared by item."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        if row["batch_size"] == 1:
            return row
        return row | {"passes": 4, "items": 256, "window_s": row["window_s"] * (2 + 0.001 * row["block"])}

    comparison = by(tmp_path, "batch_size", change, more="factors: {batch_size: [1, 8]}")
    assert only(comparison.per_machine, "big").ratio.ratio == pytest.approx(0.5, rel=1e-2)
    assert "with batch size 8 needs 0.50" in comparison.findings[0].sentence


def test_machines_share_no_block_and_are_compared_unpaired(tmp_path: Path) -> None:
    """Each model is compared with itself by Welch's test, and arms have the machines' names."""
    study = one_pair()
    machines = (("m1", "left"), ("m2", "right"))
    rows = [timed(row) for row in twelve_cell_rows(study, machines=machines)]
    rows = [row | {"window_s": row["window_s"] * (3 if row["machine_id"] == "m2" else 1)} for row in rows]
    with Store.open(write_measured(tmp_path / "store", rows, study, machines=machines)) as store:
        comparison = compare(store, by="machine", metrics=["time"])
        again = compare(store, by="machine", metrics=["time"], reference="right", pair="p")
    line = only(comparison.per_machine, "small")
    assert line.ratio.ratio == pytest.approx(3, rel=1e-9)
    assert "Welch" in line.ratio.method
    assert (line.reference.level, line.other.level, line.machine) == ("left", "right", None)
    assert "unpaired" in texts(comparison, "note")
    assert comparison.findings[0].sentence.startswith("On sst2, big on right needs 3.000")
    assert math.isclose(only(again.per_machine, "small").ratio.ratio or 0, 1 / 3)


def test_what_cannot_be_compared_by_is_refused(tmp_path: Path) -> None:
    """The cure has the names that exist; a study with a single level has nothing to compare."""
    assert by(tmp_path / "one", "environment", lambda row: row | {"environment": "bare"}, pair="p").per_machine == ()
    with pytest.raises(QueryError, match="Name one of model, environment"):
        by(tmp_path / "two", "colour")
    with pytest.raises(QueryError, match=r"No trial has the environment 'pod'.*Name one of bare, container"):
        by(tmp_path / "three", "environment", reference="pod")
    with pytest.raises(QueryError, match="Name a pair by --pair"):
        by(tmp_path / "four", "model", reference="big")
    with pytest.raises(ValueError, match="alpha"):
        by(tmp_path / "five", "model", alpha=1.5)
