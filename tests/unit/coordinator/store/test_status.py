"""The state of a store."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

import pytest

from coordinator.events.live_file import MachineActivity
from coordinator.store.status import (
    StoreCoordinator,
    StoreState,
    coordinator_of,
    newest_change_ns,
    state_lines,
    store_state,
)
from joulefleet.query import Store
from joulefleet.query.progress import progress
from joulefleet.store.layout import StoreLayout
from tests.support.attempt_rows import attempt_row, failed_row, study_from, twelve_cell_rows, write_attempt, write_store


@pytest.fixture
def layout(tmp_path: Path) -> StoreLayout:
    """Make a store with a study of which nothing was measured."""
    return StoreLayout(write_store(tmp_path / "s", [], study_from()))


def test_lock_that_nobody_holds_means_nothing(layout: StoreLayout) -> None:
    """A coordinator that died leaves its lock file."""
    assert coordinator_of(layout) is None
    layout.lock_file.write_text(json.dumps({"pid": 1, "study": "x", "since": "then"}))
    assert coordinator_of(layout) is None


def test_held_lock_names_the_coordinator(layout: StoreLayout) -> None:
    """The lock file contains its process, its study and its start."""
    with layout.lock_file.open("w") as file:
        json.dump({"host": "bench", "epoch": 3, "pid": 12, "study": "twelve", "since": "2026-03-01T12:00:00Z"}, file)
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held = coordinator_of(layout)
        assert held is not None
        assert (held.pid, held.study) == (12, "twelve")
        assert "process 12 on bench runs twelve since 2026-03-01" in next(state_lines(store_state(layout)))


def test_held_lock_without_content_is_still_held(layout: StoreLayout) -> None:
    """A coordinator that has just started has not written to it yet."""
    with layout.lock_file.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert "a coordinator writes to it" in next(state_lines(store_state(layout)))


def test_progress_is_a_table_with_the_reasons_under_it(tmp_path: Path) -> None:
    """The table has one row for each machine."""
    study = study_from()
    rows = twelve_cell_rows(study)[:18]
    same = ("study", "trial_id", "attempt_id", "model", "task", "block", "started_at")
    rows[3] = failed_row("out_of_memory", **{name: rows[3][name] for name in same})
    lines = list(state_lines(store_state(StoreLayout(write_store(tmp_path / "s", rows, study)))))
    assert lines[-2].split() == ["twelve", "bench", "36", "17", "1", "18", "50", "%"]
    assert lines[-1] == "twelve failed: out_of_memory ×1"


def test_several_machines_have_a_sum(tmp_path: Path) -> None:
    """It is the last row."""
    machines = (("m1", "left"), ("m2", "right"))
    path = write_store(tmp_path / "s", [], study_from(), machines=machines)
    lines = list(state_lines(store_state(StoreLayout(path))))
    assert [line[8:14].strip() for line in lines[-3:]] == ["left", "right", "all"]


def test_empty_store_says_what_to_do(tmp_path: Path) -> None:
    """It has no study yet."""
    state = store_state(StoreLayout(write_store(tmp_path / "s", [])))
    assert "Run one with `joulefleet run STUDY`." in list(state_lines(state))[-1]


def test_arrival_of_an_attempt_is_a_change(layout: StoreLayout) -> None:
    """Without one there is no change."""
    before = newest_change_ns(layout)
    assert newest_change_ns(layout) == before
    write_attempt(layout.root, attempt_row())
    assert newest_change_ns(layout) != before


def test_the_expected_end_names_machines_that_it_leaves_out(tmp_path: Path) -> None:
    """Nobody knows when a machine that is gone will be done."""
    study = study_from()
    machines = [("a", "bee"), ("b", "ant")]
    rows = [row for row in twelve_cell_rows(study, machines=machines) if row["block"] == 1]
    with Store.open(write_store(tmp_path / "s", rows, study, machines=machines)) as store:
        studies = progress(store)
    running = StoreCoordinator(host="head", pid=1, epoch=1, study=study.name, since="2026-03-01T12:00:00Z")
    now = (
        MachineActivity(name="ant", doing="gone (unplugged)", since=0.0),
        MachineActivity(name="bee", doing="block 2", since=0.0, left_s=60.0),
    )
    state = StoreState(store="s", coordinator=running, studies=studies, now=now)
    lines = list(state_lines(state))
    assert lines[-1].endswith(", without ant.")
    table = [line.split()[1] if "twelve" in line else line.split()[0] for line in lines if " 12 " in line]
    assert table == ["ant", "bee"]
