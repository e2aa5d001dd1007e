"""The number of blocks that follows from the pilot blocks."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from joulefleet.compare.two_stage import Need, blocks_needed
from joulefleet.errors import QueryError
from joulefleet.query import Store
from joulefleet.stats.sample_size import size, stein_blocks
from joulefleet.stats.variance_components import components
from tests.support.attempt_rows import twelve_cell_rows, write_measured
from tests.support.one_pair import one_pair, timed

STATED = "primary: {metric: time, precision_percent: 3, pilot_blocks: 10}"


def needs(
    path: Path, machines: int, *, between: float = 0.0, models: int = 99, pilot: int = 10, stated: str = STATED
) -> tuple[list[Need], dict[int, list[float]]]:
    """Return what a study of `pilot` blocks needs, and the log ratios of each machine."""
    study = one_pair(pilot, stated)
    names = [(f"id-{number}", f"node{number}") for number in range(machines)]
    rng = random.Random(2)
    shifts = [rng.gauss(-0.7, between) for _ in names]
    logs: dict[int, list[float]] = {number: [] for number in range(machines)}

    def change(row: dict[str, Any]) -> dict[str, Any]:
        number = int(row["machine_id"].split("-")[1])
        row |= {"cpu_model": f"CPU {number % models}", "window_s": 2.0}
        if row["model"] == "small":
            logs[number].append(rng.gauss(shifts[number], 0.05))
            row["window_s"] = 2.0 * math.exp(logs[number][-1])
        return row

    rows = [change(timed(row)) for row in twelve_cell_rows(study, machines=names)]
    with Store.open(write_measured(path / "store", rows, study, machines=names)) as store:
        return blocks_needed(store, "one"), logs


def test_one_or_two_machines_need_what_steins_rule_gives_each(tmp_path: Path) -> None:
    """Each machine has the variance of its own pilot blocks."""
    found, logs = needs(tmp_path, 2)
    expected = [stein_blocks(float(np.var(logs[number], ddof=1)), 10, factor=1.03) for number in (0, 1)]
    assert [(need.what, need.blocks) for need in found] == [
        ("p on sst2 on node0", expected[0]),
        ("p on sst2 on node1", expected[1]),
    ]


def test_three_machines_need_what_their_mean_does(tmp_path: Path) -> None:
    """The number depends on the variance between machines too."""
    (need,), logs = needs(tmp_path, 4, between=0.001)
    spread = components({"": {str(number): of for number, of in logs.items()}})
    assert spread.block is not None
    assert need.what == "p on sst2"
    assert need.blocks == size(spread.machine or 0.0, spread.block, 4, factor=1.03).blocks


def test_machines_of_few_cpu_models_count_by_model(tmp_path: Path) -> None:
    """Three models of two machines each count as three."""
    (need,), _ = needs(tmp_path, 6, between=0.3, models=3)
    assert need.blocks is None
    assert (need.reason or "").startswith("3 CPU models differ by ")
    assert (need.reason or "").endswith("no number of blocks is enough, add machines")


def test_too_few_pilot_blocks_are_named(tmp_path: Path) -> None:
    """Blocks without a value do not count as pilot blocks."""

    def lost(row: dict[str, Any]) -> dict[str, Any]:
        return row | ({"window_s": None} if row["block"] <= 3 else {})

    study = one_pair(10, STATED)
    rows = [lost(timed(row)) for row in twelve_cell_rows(study)]
    with Store.open(write_measured(tmp_path / "store", rows, study)) as store:
        (need,) = blocks_needed(store, "one")
    assert (need.blocks, need.reason) == (None, "7 pilot blocks count, and 10 are needed")


def test_a_study_has_to_state_a_precision(tmp_path: Path) -> None:
    """It also has to be in the store."""
    study = one_pair()
    with Store.open(write_measured(tmp_path / "store", [], study)) as store:
        with pytest.raises(ValueError, match="states no precision"):
            blocks_needed(store, "one")
        with pytest.raises(QueryError, match="no study 'two'"):
            blocks_needed(store, "two")
