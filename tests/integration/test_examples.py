"""The shipped examples, run on small stores."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from joulefleet.errors import QueryError
from joulefleet.query import Store
from joulefleet.query.shipped_sql import example, examples
from tests.support.attempt_rows import STARTED, attempt_row, failed_row, write_store
from tests.support.one_pair import one_pair

NAMES = [one.name for one in examples()]
MEASURED = {
    "energy_scope": "package",
    "energy_source": "powercap",
    "energy_provenance": "measured",
    "energy_reason": None,
}


def trial(model: str, block: int, **overrides: Any) -> dict[str, Any]:
    """Return a measured trial of 64 items and 1600 tokens: 2 s and 64 J of the teacher, 1 s and 16 J of the student."""
    joules, seconds = (64.0, 2.0) if model == "big" else (16.0, 1.0)
    energies = [
        {
            "phase": phase,
            "domain": "package",
            "source": "powercap",
            "provenance": "measured",
            "joules": j,
            "reason": None,
        }
        for phase, j in (("load", 4.0), ("window", joules))
    ]
    readings = [
        {"channel": "package-0", "unit": "uJ", "kind": "counter", "source": "powercap"}
        | {"t_ns": [10**9, 15 * 10**8, 25 * 10**8], "value": [1e6, 21e6, 5e6]}
    ]
    return attempt_row(
        **{
            "study": "one",
            "trial_id": f"{model}-{block}",
            "model": model,
            "block": block,
            "regime": "sustained",
            "window_s": seconds,
            "energy_j": joules,
            "energy_package_j": joules,
            "baseline_s": 2.0,
            "baseline_j": 16.0,
            "energies": energies,
            "readings": readings,
            "flags": ["throttled"] if model == "small" and block == 1 else [],
            "temperature_max_c": 60.0 + block,
            "started_at": STARTED,
        }
        | MEASURED
        | overrides
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Open a store of two models and two blocks, with an attempt that failed before one that succeeded."""
    rows = [trial(model, block) for model in ("big", "small") for block in (1, 2)]
    rows.append(failed_row(study="one", trial_id="big-1", attempt_id="big-1-r1-a0", attempt=0, model="big"))
    with Store.open(write_store(tmp_path_factory.mktemp("full") / "s", rows, one_pair(repetitions=2))) as opened:
        yield opened


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Open a store without attempts."""
    with Store.open(write_store(tmp_path_factory.mktemp("empty") / "s", [])) as opened:
        yield opened


def answered(store: Store, name: str) -> list[dict[str, Any]]:
    """Return the result of the example called `name`."""
    rows: list[dict[str, Any]] = store.arrow(example(name).sql).to_pylist()
    return rows


def answered_of(path: Path, rows: list[dict[str, Any]], *names: str) -> list[list[dict[str, Any]]]:
    """Return the result of each of the examples for a store of `rows`."""
    with Store.open(write_store(path / "s", rows)) as opened:
        return [answered(opened, name) for name in names]


@pytest.mark.parametrize("name", NAMES)
def test_each_is_answered(store: Store, name: str) -> None:
    """Each has rows, and no row is all null."""
    rows = answered(store, name)
    assert rows
    assert all(any(value is not None for value in row.values()) for row in rows)


@pytest.mark.parametrize("name", NAMES)
def test_each_has_an_empty_result_for_an_empty_store(empty: Store, name: str) -> None:
    """It has no rows, and raises no error."""
    assert answered(empty, name) == []


@pytest.mark.parametrize("one", examples(), ids=NAMES)
def test_each_begins_with_its_question(one: Any) -> None:
    """The list of examples shows this line only."""
    assert "?" in one.question
    assert one.sql.startswith(f"-- {one.question}\n")


def test_ratios_by_hand(store: Store) -> None:
    """The student takes a quarter of the energy and half of the time."""
    (row,) = answered(store, "ratio-by-pair")
    assert row["energy_ratio"] == pytest.approx(0.25)
    assert row["time_ratio"] == pytest.approx(0.5)


def test_ranking_and_co2_by_hand(store: Store) -> None:
    """16 J / 64 items come before 64 J / 64 items; a million items at 0.25 J are 0.0694 kWh, 27.8 g of CO2."""
    first, second = answered(store, "ranking")
    assert (first["model"], first["j_per_item"], first["trials"]) == ("small", 0.25, 2)
    assert (second["model"], second["j_per_item"], second["s_per_item"]) == ("big", 1.0, 2 / 64)
    cheapest = answered(store, "co2")[0]
    assert cheapest["g_per_million"] == pytest.approx(0.25e6 / 3.6e6 * 400)
    assert cheapest["wh_per_1000_items"] == pytest.approx(250 / 3600)
    assert cheapest["energy_provenance"] == "measured"


def test_power_by_hand(store: Store) -> None:
    """20 J in half a second are 40 W; a step in which the counter wrapped is left out."""
    rows = [row for row in answered(store, "power-over-time") if row["trial_id"] == "big-1"]
    assert [(row["second"], row["watts"]) for row in rows] == [(0, 40.0)]


def test_idle_power_and_phases_by_hand(store: Store) -> None:
    """16 J in 2 s are 8 W; loading takes 4 J, and an item 1 J."""
    (idle,) = answered(store, "idle-power")
    assert (idle["idle_w"], idle["trials"]) == (8.0, 4)
    phases = {row["model"]: row for row in answered(store, "energy-by-phase") if row["provenance"] == "measured"}
    assert (phases["big"]["load_j"], phases["big"]["window_j"], phases["big"]["load_in_items"]) == (4, 64, 4)


def test_failures_and_flags_by_hand(store: Store) -> None:
    """One attempt timed out and a later one succeeded; one of two trials of the student was throttled."""
    (failure,) = answered(store, "failures")
    assert (failure["reason"], failure["attempts"], failure["later_ok"]) == ("timeout", 1, 1)
    (flag,) = answered(store, "flags")
    assert (flag["model"], flag["flag"], flag["trials"], flag["share"]) == ("small", "throttled", 1, 0.5)


def test_machines_apart_by_hand(tmp_path: Path) -> None:
    """The second machine takes three times the time and twice the energy."""
    slow = trial("big", 1, trial_id="x", machine_id="m2", machine="slow", window_s=6.0, energy_package_j=128.0)
    ((row,),) = answered_of(tmp_path, [trial("big", 1), slow], "machines-apart")
    assert (row["fastest"], row["slowest"], row["times_slower"], row["times_more_energy"]) == (
        "bench",
        "slow",
        3.0,
        2.0,
    )


def test_drift_by_hand(tmp_path: Path) -> None:
    """The second block took e times as long."""
    later = trial("big", 2, window_s=2.0 * math.e)
    (rows,) = answered_of(tmp_path, [trial("big", 1), later], "drift")
    assert [row["times_the_first"] for row in rows] == pytest.approx([1.0, math.e])


def test_joules_of_two_origins_are_never_averaged(tmp_path: Path) -> None:
    """Measured and simulated joules are in different rows."""
    rows = [trial("big", 1), trial("big", 2, energy_j=6400.0, energy_provenance="simulated")]
    names = ("ranking", "co2", "energy-per-token", "idle-power", "environments-side-by-side")
    for answer in answered_of(tmp_path, rows, *names):
        assert {row["energy_provenance"] for row in answer} == {"measured", "simulated"}


def test_a_misspelt_name_is_answered_with_the_closest_one() -> None:
    """Where no name is close, the error lists all of them."""
    with pytest.raises(QueryError, match=r"Did you mean ranking\?"):
        example("rankin")
    with pytest.raises(QueryError, match="There are co2, drift"):
        example("../../etc/passwd")
