"""Sample sizes from stores whose variation is known."""

from __future__ import annotations

import math
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from joulefleet.compare.sample_size import sizing, stated
from joulefleet.errors import QueryError
from joulefleet.query import Store
from tests.support.attempt_rows import STARTED, twelve_cell_rows, write_measured
from tests.support.one_pair import one_pair, timed


def store_of(path: Path, machines: int, *, between: float, within: float) -> Path:
    """Return a store of one pair in 6 blocks; its log ratios have these standard deviations."""
    study = one_pair(6)
    names = [(f"id-{number}", f"node{number}") for number in range(machines)]
    rng = random.Random(1)
    of_machine = {machine_id: rng.gauss(0, between) for machine_id, _ in names}

    def change(row: dict[str, Any]) -> dict[str, Any]:
        number = int(row["machine_id"].split("-")[1])
        factor = 1.0
        if row["model"] == "small":
            factor = math.exp(of_machine[row["machine_id"]] + rng.gauss(0, within))
        return row | {"cpu_model": f"CPU {number % 2}", "window_s": row["window_s"] * factor}

    rows = [change(timed(row)) for row in twelve_cell_rows(study, machines=names)]
    return write_measured(path / "store", rows, study, machines=names)


def test_machines_that_differ_need_machines_and_not_blocks(tmp_path: Path) -> None:
    """The variances are estimated from the store."""
    with Store.open(store_of(tmp_path, 6, between=0.10, within=0.02)) as store:
        (found,) = sizing(store, factor=1.05, metric="time")
    assert (found.machines, found.blocks, found.reason) == (6, 36, None)
    assert found.spread.block is not None
    assert math.sqrt(found.spread.block) == pytest.approx(0.02, rel=0.5)
    blocks = {size.machines: size.blocks for size in found.sizes}
    assert blocks[1] is not None
    assert blocks[3] is None
    assert blocks[30] is not None


def test_one_machine_answers_for_itself_alone(tmp_path: Path) -> None:
    """The variance between machines is unknown then."""
    with Store.open(store_of(tmp_path, 1, between=0.0, within=0.02)) as store:
        (found,) = sizing(store, factor=1.05, metric="time")
        with pytest.raises(QueryError, match="metric"):
            sizing(store, factor=1.05, metric="tme")
    assert [size.machines for size in found.sizes] == [1]
    assert found.reason is not None
    assert "--between" in found.reason


def test_of_several_protocols_the_newest_counts(tmp_path: Path) -> None:
    """After a change of the study its old blocks do not show how the new ones vary."""
    study = one_pair(8)

    def change(row: dict[str, Any]) -> dict[str, Any]:
        new = row["block"] > 5
        when = STARTED + timedelta(days=10 * new, minutes=row["position"])
        return row | {"protocol": f"{'a new' if new else 'an old'} {row['model']}", "started_at": when}

    rows = [change(timed(row)) for row in twelve_cell_rows(study)]
    # The view sorts by block, so the old protocol has to come last there.
    rows = [row | {"block": 9 - row["block"]} for row in rows]
    with Store.open(write_measured(tmp_path / "store", rows, study)) as store:
        (found,) = sizing(store, factor=1.05, metric="time")
    assert (found.machines, found.blocks) == (1, 3)


def test_what_is_stated_needs_no_store() -> None:
    """Several machines need the variance between machines too."""
    assert [size.machines for size in stated(0.0016, None, factor=1.05)] == [1]
    assert [size.machines for size in stated(0.0016, 0.0001, factor=1.05)] == [1, 3, 5, 10, 30]
