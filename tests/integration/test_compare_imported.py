"""A comparison of imported data: means and ratios to all digits, and the caveats."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import fmean

import pytest
from scipy import stats
from typer.testing import CliRunner

from coordinator.__main__ import app
from joulefleet.compare.compare import compare
from joulefleet.compare.results import Comparison
from joulefleet.query import Store
from tests.support.replication_package import MAPPING, write_package


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    """Return the comparison of the package, with its numbers checked against scipy."""
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    write_package(tmp_path / "data")
    done = CliRunner().invoke(
        app,
        [
            *("import", "experiment-runner", str(tmp_path / "data"), "--mapping", str(tmp_path / "mapping.yaml")),
            *("--store", str(tmp_path / "store")),
        ],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    with Store.open(tmp_path / "store") as store:
        rows = store.arrow("select model, energy_reported_j, window_s from trials").to_pylist()
        found = compare(store)
    for line in found.per_machine:
        if line.metric in {"energy", "time"}:
            column = {"energy": "energy_reported_j", "time": "window_s"}[line.metric]
            arms = [[row[column] for row in rows if row["model"] == arm.level] for arm in (line.reference, line.other)]
            assert [line.reference.mean, line.other.mean] == pytest.approx([fmean(arm) for arm in arms], rel=1e-14)
            logs = [[math.log(value) for value in arm] for arm in arms]
            assert line.ratio.ratio == pytest.approx(math.exp(fmean(logs[1]) - fmean(logs[0])), rel=1e-13)
            interval = stats.ttest_ind(logs[1], logs[0], equal_var=False).confidence_interval()
            assert line.ratio.low == pytest.approx(math.exp(interval.low), rel=1e-9)
            assert line.ratio.high == pytest.approx(math.exp(interval.high), rel=1e-9)
    return found


def test_it_is_compared_unpaired_by_what_the_tool_reported(comparison: Comparison) -> None:
    """Joules are by run, neither measured nor modelled, and all findings are exploratory."""
    energy = [line for line in comparison.per_machine if line.metric == "energy"]
    assert {line.pair for line in energy} == {"bert", "gpt2"}
    assert {line.title for line in energy} == {"energy per run"}
    assert {line.basis.provenance for line in energy if line.basis} == {"reported"}
    assert all("Welch" in line.ratio.method for line in energy)
    assert {finding.role for finding in comparison.findings} == {"exploratory"}
    assert {line.metric for line in comparison.per_machine} == {"energy", "time", "cpu_use", "mean_memory"}


def test_model_and_day_are_said_to_be_confounded(comparison: Comparison) -> None:
    """All runs of one model came after all of the other."""
    warnings = " ".join(caveat.text for caveat in comparison.caveats if caveat.level == "warning")
    assert "model and day are confounded" in warnings
    assert "energy_repaired" in warnings


def test_a_label_that_numbers_the_runs_is_no_factor_and_items_must_be_of_all(tmp_path: Path) -> None:
    """Joules per run are never compared with joules per item."""
    mapping = MAPPING.replace("{match: bert/**, model: bert}", "{match: bert/**, model: bert, items: 872}")
    assert mapping != MAPPING
    (tmp_path / "mapping.yaml").write_text(mapping)
    write_package(tmp_path / "data")
    done = CliRunner().invoke(
        app,
        [
            *("import", "experiment-runner", str(tmp_path / "data"), "--mapping", str(tmp_path / "mapping.yaml")),
            *("--store", str(tmp_path / "store")),
        ],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    with Store.open(tmp_path / "store") as store:
        found = compare(store, pair="bert", metrics=["energy"])
    (line,) = found.per_machine
    assert line.title == "energy per run"
    assert line.ratio.ratio == pytest.approx(0.51, abs=0.03)
