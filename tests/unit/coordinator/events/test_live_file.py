"""The file that says what each machine is doing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coordinator.events.events import Event, MachineJoined, MachineLeft, MachineRefused, TrialEnded, TrialStarted
from coordinator.events.live_file import LiveFile, read_live
from coordinator.scheduling.attempt import AttemptFact
from joulefleet.store.layout import StoreLayout
from tests.support.tiny_trials import tiny_trial


@pytest.fixture
def layout(tmp_path: Path) -> StoreLayout:
    """Return the layout of an empty store."""
    return StoreLayout(tmp_path)


def started(machine: str) -> TrialStarted:
    """Return the start of a trial on a machine."""
    return TrialStarted(machine=machine, trial=tiny_trial(), number=3, total=8, left_s=60)


def ended(machine: str) -> TrialEnded:
    """Return the end of a trial on a machine."""
    trial = tiny_trial()
    outcome = AttemptFact(
        trial_id=trial.trial_id,
        attempt_id=trial.attempt_id,
        place="p",
        machine_id="p",
        boot_id="b",
        kind="trial",
        block=1,
        round=1,
        attempt=1,
        cell=trial.cell,
        protocol="x",
        status="ok",
        reason=None,
        window_s=1.5,
        passes=3,
        wall_s=2.0,
        ended_s=0.0,
    )
    return TrialEnded(machine=machine, trial=trial, outcome=outcome, number=3, total=8)


def doing(layout: StoreLayout) -> dict[str, str]:
    """Return what the file says each machine is doing."""
    return {machine.name: machine.doing for machine in read_live(layout.live_file)}


def test_the_trial_that_runs_is_named_however_long_it_takes(layout: StoreLayout) -> None:
    """The end of the trial before it, at the same moment, does not hide it."""
    live = LiveFile(layout)
    events: list[Event] = [MachineJoined(machine="b", node="n"), MachineJoined(machine="a", node="m")]
    for event in (*events, started("b"), started("a"), ended("b"), started("b")):
        live(event)
    assert list(doing(layout)) == ["a", "b"]
    assert all(text.startswith("block 1, big/one") for text in doing(layout).values())


def test_a_machine_that_left_and_a_node_that_was_refused_are_told(layout: StoreLayout) -> None:
    """The reason is named."""
    live = LiveFile(layout)
    live(MachineLeft(machine="a", why="no power"))
    live(MachineRefused(node="b-1", why="b has another version", cure="Install it."))
    assert doing(layout) == {"a": "gone (no power)", "b-1": "refused: b has another version"}


def test_writing_takes_a_hundredth_of_the_time_at_most(layout: StoreLayout) -> None:
    """In a large fleet the file is long, and there are many events."""
    # The clock is read when the file is made, at each event, and at the beginning and end of each writing.
    moments = iter([0.0, 1.0, 1.0, 1.2, 2.0, 13.0, 13.0, 13.2])
    live = LiveFile(layout, monotonic=lambda: next(moments))
    live(MachineJoined(machine="a", node="n"))
    assert list(doing(layout)) == ["a"]
    live(MachineJoined(machine="b", node="m"))
    assert list(doing(layout)) == ["a"]
    live(MachineJoined(machine="c", node="o"))
    assert list(doing(layout)) == ["a", "b", "c"]


def test_a_file_that_is_damaged_or_missing_says_nothing(layout: StoreLayout) -> None:
    """It is only a snapshot; the rows of the store count."""
    assert read_live(layout.live_file) == ()
    layout.live_file.write_text(json.dumps([{"name": "a"}]))
    assert read_live(layout.live_file) == ()
    live = LiveFile(layout)
    live(MachineJoined(machine="a", node="n"))
    live.close()
    assert not layout.live_file.exists()
