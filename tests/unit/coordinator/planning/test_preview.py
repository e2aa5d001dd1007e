"""The plan on this machine, against a store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.results.row import trial_columns
from coordinator.planning.preview import NOWHERE, Outlook, look_ahead, write_trials
from joulefleet.errors import StoreError
from joulefleet.plan.design import Design
from joulefleet.plan.trial import Trial, trial_from_json
from tests.support.attempt_rows import attempt_row, write_store
from tests.support.scheduled_machines import WITH_PILOT, pinned, tiny_design
from tests.support.tiny_trials import tiny_pinned


@pytest.fixture(autouse=True)
def machine_without_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the plan be that of a machine without an id, on whichever machine the tests run."""
    monkeypatch.setenv("JOULEFLEET_MACHINE_ID_FILE", str(tmp_path / "no-machine-id"))


def row_of(trial: Trial, **columns: Any) -> dict[str, Any]:
    """Return the row of `trial`, measured."""
    return attempt_row(**trial_columns(trial) | {"place": NOWHERE, "machine_id": NOWHERE} | columns)


def pilot_rows(design: Design, window_s: float) -> list[dict[str, Any]]:
    """Return the rows of all pilots; each took `window_s` for its pass."""
    pilots = [design.trial(cell, kind="pilot", place=NOWHERE) for cell in range(len(design.cells))]
    return [row_of(pilot, kind="pilot", window_s=window_s, passes=1) for pilot in pilots]


def planned(outlook: Outlook) -> list[Trial]:
    """Return all trials of the plan."""
    return [trial for block in outlook.blocks for trial in block.trials]


def test_without_a_store_nothing_is_done(tmp_path: Path) -> None:
    """An empty folder is no store yet; only a store that is named must exist."""
    outlook = look_ahead(pinned(), tmp_path, must_exist=False)
    assert (outlook.machine_id, outlook.store_id) == (NOWHERE, None)
    assert (outlook.total, outlook.done, outlook.failed, outlook.obsolete, outlook.pilots_to_do) == (8, 0, 0, 0, 0)
    assert list(outlook.blocks) == list(Design(pinned(), store_id="").blocks(NOWHERE, [3] * 4))
    with pytest.raises(StoreError):
        look_ahead(pinned(), tmp_path / "none", must_exist=True)


def test_before_the_pilots_a_pass_is_guessed_by_the_layers(tmp_path: Path) -> None:
    """The student of two layers fills the window of 2 s in one pass, the teacher of four takes twice as long.

    Each trial has 0.6 s of overhead and 0.02 s of baseline, and one pass of warm-up. The pilots have no baseline.
    """
    outlook = look_ahead(pinned(WITH_PILOT), tmp_path, must_exist=False)
    assert (outlook.measured_passes, outlook.pilots_to_do) == (False, 4)
    pilots_s = 2 * (0.6 + 2 + 2) + 2 * (0.6 + 4 + 4)
    block_s = 2 * (0.62 + 2 + 2) + 2 * (0.62 + 4 + 4)
    assert outlook.expected_s == pytest.approx(2 * block_s + pilots_s)


def test_pilots_in_the_store_fix_the_passes(tmp_path: Path) -> None:
    """Half a second a pass makes five passes of over two seconds."""
    store = write_store(tmp_path / "s", pilot_rows(tiny_design(WITH_PILOT), 0.5), pinned(WITH_PILOT).study)
    outlook = look_ahead(pinned(WITH_PILOT), store, must_exist=True)
    assert (outlook.measured_passes, outlook.pilots_to_do, outlook.done) == (True, 0, 0)
    assert {trial.protocol.passes for trial in planned(outlook)} == {5}


def test_the_plan_shows_the_passes_with_which_trials_were_measured(tmp_path: Path) -> None:
    """A run goes on with them whatever the pilots say, so the plan must, or its trials would not be those that run."""
    design = tiny_design(WITH_PILOT)
    measured = [design.trial(cell, place=NOWHERE, passes=9, block=1) for cell in (0, 2)]
    rows = [*pilot_rows(design, 0.5), *(row_of(trial, protocol=trial.protocol.digest, passes=9) for trial in measured)]
    outlook = look_ahead(
        pinned(WITH_PILOT), write_store(tmp_path / "s", rows, pinned(WITH_PILOT).study), must_exist=True
    )
    assert (outlook.done, outlook.obsolete) == (2, 0)
    assert {trial.trial_id for trial in measured} <= {trial.trial_id for trial in planned(outlook)}


def test_trials_are_written_in_the_order_of_the_plan(tmp_path: Path) -> None:
    """Each file is one trial for `python -m agent`."""
    outlook = look_ahead(tiny_pinned(), tmp_path, must_exist=False)
    assert write_trials(outlook, tmp_path / "trials") == 8
    files = sorted((tmp_path / "trials").iterdir())
    assert [file.name for file in files] == [f"{number:04d}.json" for number in range(1, 9)]
    assert [trial_from_json(json.loads(file.read_text(encoding="utf-8"))) for file in files] == planned(outlook)


def test_a_folder_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    """It may be the name of a file."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="Name another folder"):
        write_trials(look_ahead(tiny_pinned(), tmp_path / "none", must_exist=False), tmp_path / "file")
