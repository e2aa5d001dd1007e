"""How long a run waits when nobody has anything to do, and for whom."""

from __future__ import annotations

import pytest

from coordinator.campaign.waiting import NOTICE_S, ExpectedMachines, Waiting, WaitLimits
from coordinator.events.events import Event, Stalled
from joulefleet.errors import MachineError
from tests.support.scheduled_machines import fact_of, tiny_design

LONGEST_S = 600.0


class Idle:
    """A wait whose time is set by the test."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.events: list[Event] = []
        self.waiting = Waiting(
            WaitLimits(first_machine_s=60, absent_machines_s=120),
            longest_s=LONGEST_S,
            monotonic=lambda: self.now_s,
            on_event=self.events.append,
        )

    def expired_at(self, now_s: float, *, has_members: bool = True, absent: str = "", expecting: bool = False) -> bool:
        """Ask at a time."""
        self.now_s = now_s
        return self.waiting.has_expired(has_members=has_members, absent=absent.split(), expecting=expecting)


def test_with_all_machines_there_nothing_is_waited_for() -> None:
    """They have nothing to do and never will."""
    assert Idle().expired_at(0.0)


def test_a_run_without_a_machine_ends_with_an_error() -> None:
    """It says how to start one, and has said before that it waits."""
    idle = Idle()
    assert not idle.expired_at(0.0, has_members=False)
    assert not idle.expired_at(59.0, has_members=False)
    assert idle.events == [Stalled(message="waiting for a machine to join")]
    with pytest.raises(MachineError, match="joulefleet node up --join"):
        idle.expired_at(60.0, has_members=False)


def test_machines_that_left_are_waited_for_from_the_moment_nobody_works() -> None:
    """Work in between starts the wait anew."""
    idle = Idle()
    assert not idle.expired_at(0.0, absent="north south")
    assert not idle.expired_at(119.0, absent="north south")
    assert idle.events == [Stalled(message="waiting for north, south to come back")]
    idle.waiting.reset()
    assert not idle.expired_at(130.0, absent="north")
    assert not idle.expired_at(249.0, absent="north")
    assert idle.expired_at(250.0, absent="north")


def test_an_agent_that_was_asked_may_be_in_a_trial_of_an_earlier_run() -> None:
    """It is waited for as long as a trial may take; that is reported once, and not for one that has just started."""
    idle = Idle()
    assert not idle.expired_at(0.0, expecting=True)
    assert not idle.expired_at(NOTICE_S - 1, expecting=True)
    assert idle.events == []
    assert not idle.expired_at(NOTICE_S, expecting=True)
    assert not idle.expired_at(LONGEST_S - 1, expecting=True)
    (event,) = idle.events
    assert isinstance(event, Stalled)
    assert "may take 10 min" in event.message
    assert idle.expired_at(LONGEST_S, expecting=True)


def test_machines_of_earlier_runs_are_missing_while_they_have_trials_left() -> None:
    """Those that are done, and those that have joined, are not; others' attempts do not count for them."""
    design = tiny_design()
    done = [
        fact_of(design, cell, block=block, place="done", machine_id="done")
        for block in (1, 2)
        for cell in range(len(design.cells))
    ]
    begun = [fact_of(design, 0, place="begun", machine_id="begun")]
    stranger = [fact_of(design, 0, place="stranger", machine_id="stranger")]
    known = {"done": "north", "begun": "south", "new": "west"}
    expected = ExpectedMachines(known, [*done, *begun, *stranger], design)
    assert expected.missing(()) == ["south", "west"]
    assert expected.missing({"begun"}) == ["west"]
    assert ExpectedMachines({}, [*done, *begun], design).missing(()) == []
