"""Events as text: a line with the name of the machine, and the detail without it."""

from __future__ import annotations

import pytest

from coordinator.events.events import (
    BlockStarted,
    ClockDiffers,
    Event,
    MachineJoined,
    MachineLeft,
    MachineRefused,
    MachineSetAside,
    PlanFixed,
    Preparing,
    Stalled,
    TrialLost,
    TrialStarted,
)
from coordinator.events.text import event_detail, event_line
from tests.support.tiny_trials import tiny_trial


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (MachineLeft(machine="a: b", why="no power"), "a: b: gone (no power)"),
        (MachineSetAside(machine="a", why="The disk is full."), "a: set aside: The disk is full."),
        (Preparing(machine="a", what="big for one", number=2, total=4), "a: preparing big for one (2/4)"),
        (BlockStarted(machine="a", number=2, total=5, round=1), "a: block 2 of 5"),
        (BlockStarted(machine="a", number=2, total=5, round=3), "a: block 2 of 5, round 3"),
        (MachineRefused(node="n", why="It is old.", cure="Update it."), "n was refused: It is old. Update it."),
        (Stalled(message="waiting for a machine to join"), "waiting for a machine to join"),
        (PlanFixed(place="p", total=8, done=0, obsolete=0, expected_s=59), "p: 8 trials; about 59 s to go"),
        (Stalled(message="waiting: for b"), "waiting: for b"),
    ],
)
def test_a_line_names_its_machine(event: Event, line: str) -> None:
    """A name may hold a colon."""
    assert event_line(event) == line


@pytest.mark.parametrize(("ahead_s", "how"), [(30.0, "30 s ahead of"), (-30.0, "30 s behind")])
def test_a_clock_that_differs_is_ahead_or_behind(ahead_s: float, how: str) -> None:
    """With what to do about it."""
    detail = event_detail(ClockDiffers(machine="a", ahead_s=ahead_s))
    assert how in detail
    assert "timedatectl" in detail


def test_the_start_of_a_trial_has_a_detail_and_no_line() -> None:
    """A line for its end is enough; a table shows what runs. A pilot is in no block."""
    trial, pilot = tiny_trial(block=2), tiny_trial(kind="pilot", block=0)
    started = TrialStarted(machine="a", trial=trial, number=1, total=8, left_s=60)
    assert event_line(started) is None
    assert event_detail(started) == f"block 2, {trial.cell}"
    started = TrialStarted(machine="a", trial=pilot, number=1, total=8, left_s=None)
    assert event_detail(started) == f"pilot, {pilot.cell}"


def test_rows_of_an_earlier_form_of_the_study_are_named() -> None:
    """They stay in the store, and the trials are measured again."""
    line = event_line(PlanFixed(place="p", total=8, done=2, obsolete=3, expected_s=59))
    assert line is not None
    assert line.startswith("p: 8 trials, 2 of them done before; about 59 s to go; 3 attempts of an earlier form")


def test_a_detail_leaves_the_name_out() -> None:
    """Tables have the name in a column of its own."""
    assert event_detail(MachineJoined(machine="a", node="n")) == "joined"
    assert event_detail(TrialLost(machine="a", trial=tiny_trial())).startswith("big/one")
