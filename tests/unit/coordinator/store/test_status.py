"""The state of a store."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

import pytest

from coordinator.store.lock_holder import StoreCoordinator, coordinator_of
from coordinator.store.status import newest_change_ns
from joulefleet.store.layout import StoreLayout
from tests.support.attempt_rows import attempt_row, study_from, write_attempt, write_store


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
        json.dump(
            {"hostname": "bench", "epoch": 3, "pid": 12, "study": "twelve", "since": "2026-03-01T12:00:00Z"}, file
        )
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held = coordinator_of(layout)
        assert held is not None
        assert (held.pid, held.study) == (12, "twelve")


def test_held_lock_without_content_is_still_held(layout: StoreLayout) -> None:
    """A coordinator that has just started has not written to it yet."""
    with layout.lock_file.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert coordinator_of(layout) == StoreCoordinator()


def test_arrival_of_an_attempt_is_a_change(layout: StoreLayout) -> None:
    """Without one there is no change."""
    before = newest_change_ns(layout)
    assert newest_change_ns(layout) == before
    write_attempt(layout.root, attempt_row())
    assert newest_change_ns(layout) != before
