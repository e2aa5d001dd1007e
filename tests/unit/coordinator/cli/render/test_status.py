"""The state of a store as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.cli.render.status import state_lines
from coordinator.events.live_file import MachineActivity
from coordinator.store.lock_holder import StoreCoordinator
from coordinator.store.status import StoreState, store_state
from joulefleet.query import Store
from joulefleet.query.progress import progress
from joulefleet.store.layout import StoreLayout
from tests.support.attempt_rows import failed_row, study_from, twelve_cell_rows, write_store


@pytest.mark.parametrize(
    ("coordinator", "text"),
    [
        (None, "s: no run is writing to it"),
        (StoreCoordinator(), "s: a coordinator writes to it"),
        (
            StoreCoordinator(hostname="bench", pid=12, epoch=3, study="twelve", since="2026-03-01T12:00:00Z"),
            "s: process 12 on bench runs twelve since 2026-03-01",
        ),
        (
            StoreCoordinator(hostname="bench", pid=12, epoch=3, study="twelve", since="then"),
            "s: process 12 on bench runs twelve since an unknown time (epoch 3)",
        ),
    ],
)
def test_the_first_line_names_the_coordinator(coordinator: StoreCoordinator | None, text: str) -> None:
    """The lock file may have no content yet: then the line only states that there is a coordinator."""
    assert next(state_lines(StoreState(store="s", coordinator=coordinator, studies=()))).startswith(text)


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
    """The sum stands below the machines."""
    machines = (("m1", "left"), ("m2", "right"))
    path = write_store(tmp_path / "s", [], study_from(), machines=machines)
    lines = list(state_lines(store_state(StoreLayout(path))))
    assert [line[8:14].strip() for line in lines[-3:]] == ["left", "right", "all"]


def test_empty_store_says_what_to_do(tmp_path: Path) -> None:
    """A store without a study names the command that runs one."""
    state = store_state(StoreLayout(write_store(tmp_path / "s", [])))
    assert "`joulefleet run STUDY` runs one." in list(state_lines(state))[-1]


def test_the_expected_end_names_machines_that_it_leaves_out(tmp_path: Path) -> None:
    """Nobody knows when a machine that has gone will be done."""
    study = study_from()
    machines = [("a", "bee"), ("b", "ant")]
    rows = [row for row in twelve_cell_rows(study, machines=machines) if row["block"] == 1]
    with Store.open(write_store(tmp_path / "s", rows, study, machines=machines)) as store:
        studies = progress(store)
    running = StoreCoordinator(hostname="head", pid=1, epoch=1, study=study.name, since="2026-03-01T12:00:00Z")
    now = (
        MachineActivity(name="ant", doing="gone (unplugged)", since=0.0),
        MachineActivity(name="bee", doing="block 2", since=0.0, left_s=60.0),
    )
    state = StoreState(store="s", coordinator=running, studies=studies, now=now)
    lines = list(state_lines(state))
    assert lines[-1].endswith(", without ant.")
    table = [line.split()[1] if "twelve" in line else line.split()[0] for line in lines if " 12 " in line]
    assert table == ["ant", "bee"]
