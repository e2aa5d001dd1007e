"""Progress of a study."""

from __future__ import annotations

from pathlib import Path

import pytest

from joulefleet.errors import QueryError, StoreError
from joulefleet.plan.expand import cells
from joulefleet.query import Store
from joulefleet.query.progress import progress
from joulefleet.store.records import ImportRecord, StudyRecord
from tests.support.attempt_rows import (
    STARTED,
    TWELVE_CELLS,
    attempt_row,
    failed_row,
    study_from,
    trial_row,
    twelve_cell_rows,
    write_attempt,
    write_store,
    write_study,
)
from tests.support.studies import changed


def test_unstarted_study_misses_everything(tmp_path: Path) -> None:
    """12 cells in 3 blocks on 2 machines are 72 trials."""
    study = study_from()
    machines = (("m1", "left"), ("m2", "right"))
    with Store.open(write_store(tmp_path / "s", [], study, machines=machines)) as store:
        (state,) = progress(store)
    assert (state.planned, state.ok, state.failed, state.missing) == (72, 0, 0, 72)
    assert not state.finished
    assert state.newest_at is None


def test_failed_trials_are_done_and_counted_by_reason(tmp_path: Path) -> None:
    """A study with a failed trial can be finished."""
    study = study_from()
    rows = twelve_cell_rows(study)
    same = ("study", "trial_id", "attempt_id", "model", "task", "block", "started_at")
    rows[4] = failed_row("timeout", **{name: rows[4][name] for name in same})
    with Store.open(write_store(tmp_path / "s", rows, study)) as store:
        (state,) = progress(store)
    assert (state.ok, state.failed, state.missing) == (35, 1, 0)
    assert state.failures == {"timeout": 1}
    assert state.finished


def test_trials_that_are_not_planned_do_not_count(tmp_path: Path) -> None:
    """These are pilots, blocks beyond the repetitions, unknown cells and other machines."""
    study = study_from()
    cell = cells(study)[0]
    rows = [
        trial_row(study, cell, 0, kind="pilot"),
        trial_row(study, cell, 4),
        trial_row(study, cell, 1, task="other", trial_id="x"),
        trial_row(study, cell, 1, machine_id="elsewhere", place="elsewhere"),
    ]
    with Store.open(write_store(tmp_path / "s", rows, study)) as store:
        (state,) = progress(store)
    assert (state.ok, state.missing) == (0, 36)


def test_trial_of_two_protocols_counts_once(tmp_path: Path) -> None:
    """The newer trial counts."""
    study = study_from()
    cell = cells(study)[0]
    rows = [
        trial_row(study, cell, 1, trial_id="new", started_at=STARTED.replace(hour=13)),
        failed_row(study=study.name, model=cell.model, task=cell.task, block=1, trial_id="old", started_at=STARTED),
    ]
    with Store.open(write_store(tmp_path / "s", rows, study)) as store:
        (state,) = progress(store)
    assert (state.ok, state.failed) == (1, 0)


def test_newest_version_of_a_study_says_what_is_planned(tmp_path: Path) -> None:
    """More repetitions are more trials."""
    study = study_from()
    path = write_store(tmp_path / "s", [], study)
    more = study_from(changed(TWELVE_CELLS, {"repetitions": 5}))
    write_study(path, more, requested_at=STARTED.replace(hour=13))
    with Store.open(path) as store:
        (state,) = progress(store)
    assert state.planned == 60


def test_unknown_study_is_refused(tmp_path: Path) -> None:
    """The error lists the studies of the store."""
    with (
        Store.open(write_store(tmp_path / "s", [], study_from())) as store,
        pytest.raises(QueryError, match="It has twelve"),
    ):
        progress(store, "nothing")


def test_study_that_this_version_does_not_understand_is_named(tmp_path: Path) -> None:
    """An unknown key is an error; its meaning is not guessed."""
    path = write_store(tmp_path / "s", [], study_from())
    (file,) = (path / "studies").iterdir()
    file.write_text(file.read_text().replace('"thresholds"', '"limits"'))
    with Store.open(path) as store, pytest.raises(StoreError, match="does not understand"):
        progress(store)


def test_imported_study_counts_the_runs_that_were_done(tmp_path: Path) -> None:
    """An imported study has no plan; its record says how many runs were planned on each machine."""
    path = write_store(tmp_path / "s", [])
    same = {"study": "theirs", "imported_from": "tool", "block": None, "place": "m1", "machine_id": "m1"}
    for number in range(3):
        write_attempt(path, attempt_row(trial_id=f"t{number}", started_at=None, **same))
    record = StudyRecord(
        definition={"name": "theirs", "models": {"bert": {}}, "tasks": {"sst2": {}}},
        machines=(("m1", "one"),),
        places=(("m1", "one"), ("m2", "two")),
        comparands=(),
        requested_at=STARTED,
        imported=ImportRecord(tool="tool", planned={"m1": 4, "m2": 2}, content="digest", mapping={}),
    )
    (path / "studies" / "theirs.json").write_bytes(record.to_json())
    with Store.open(path) as store:
        (state,) = progress(store)
    assert [(place.name, place.planned, place.ok, place.missing) for place in state.machines] == [
        ("one", 4, 3, 1),
        ("two", 2, 0, 2),
    ]
    assert (state.imported_from, state.newest_at, state.finished) == ("tool", None, False)
