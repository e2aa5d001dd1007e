"""Who takes part: machines join, leave with a trial that may have ended, and are refused or set aside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.service import AgentHello
from coordinator.campaign.membership import MOST_DEFERRALS, MOST_SKEW_S, Membership
from coordinator.cluster.interface import Deferred, Joined, Left, Refused, Run
from coordinator.events.events import (
    ClockDiffers,
    Event,
    MachineJoined,
    MachineLeft,
    MachineRefused,
    MachineSetAside,
    Stalled,
)
from coordinator.scheduling.scheduler import Scheduler
from coordinator.store.writer import open_store
from joulefleet.errors import MachineError
from joulefleet.plan.design import Design
from tests.support.fake_cluster import MACHINE, FakeAgent, FakeCluster
from tests.support.studies import changed
from tests.support.tiny_trials import TINY_STUDY, tiny_pinned, tiny_trial

NOW_S = 1000.0


class Fleet:
    """A membership with its scheduler, a cluster of the machines `a` and `b`, and the events that were reported."""

    def __init__(self, text: str = TINY_STUDY) -> None:
        pinned = tiny_pinned(text)
        self.events: list[Event] = []
        self.cluster = FakeCluster(machines=("a", "b"))
        self.scheduler = Scheduler(Design(pinned, store_id="store"))
        self.membership = Membership(
            self.cluster,
            self.scheduler,
            pinned,
            on_event=self.events.append,
            clock=lambda: NOW_S,
            time_of_day=lambda: NOW_S,
        )

    def hello(self, machine_id: str = "a", **changes: object) -> AgentHello:
        """Return the hello of a machine whose clock is right."""
        agent = self.cluster.agents.get(f"node of {machine_id}")
        agent = agent or FakeAgent(node="other", machine=replace(MACHINE, machine_id=machine_id))
        return replace(agent.hello(), **({"clock_s": NOW_S} | changes))  # type: ignore[arg-type]  # any field

    def join(self, machine_id: str = "a", **changes: object) -> bool:
        """Apply that a machine has joined."""
        return self.membership.apply(Joined(node=f"node of {machine_id}", hello=self.hello(machine_id, **changes)))


def test_a_machine_that_joins_has_a_session_a_place_and_a_name() -> None:
    """Until it leaves; its name stays, as the result of the run names who is absent."""
    fleet = Fleet()
    assert fleet.join()
    (session,) = fleet.membership.sessions
    assert fleet.membership.session("node of a") is session
    assert fleet.scheduler.members["a"].present
    assert not fleet.membership.apply(Left(node="node of a", why="no power"))
    assert fleet.membership.sessions == []
    assert fleet.membership.names(lambda member: not member.present) == (fleet.membership.name("a"),) == ("fake",)
    assert fleet.events == [
        MachineJoined(machine="fake", node="node of a"),
        MachineLeft(machine="fake", why="no power"),
    ]


def test_a_trial_is_unresolved_after_its_agent_is_lost_and_is_taken_once() -> None:
    """The machine's next agent may have its row. A session without a trial leaves nothing behind."""
    fleet, trial = Fleet(), tiny_trial()
    fleet.join("a")
    fleet.join("b")
    session = fleet.membership.session("node of a")
    assert session is not None
    session.begin(Run(trial=trial), now_s=0.0, trial=trial)
    fleet.membership.lose("node of a", "it died")
    fleet.membership.lose("node of b", "it died")
    fleet.membership.lose("node of nobody", "it was never there")
    assert fleet.membership.take_unresolved("b") is None
    assert fleet.membership.take_unresolved("a", "another attempt") is None
    assert fleet.membership.take_unresolved("a", trial.attempt_id) == (trial, NOW_S)
    assert fleet.membership.take_unresolved("a") is None


def test_a_new_agent_of_a_node_replaces_its_session() -> None:
    """Whatever the old one ran is unresolved then."""
    fleet, trial = Fleet(), tiny_trial()
    fleet.join()
    (before,) = fleet.membership.sessions
    before.begin(Run(trial=trial), now_s=0.0, trial=trial)
    assert fleet.join()
    (after,) = fleet.membership.sessions
    assert after is not before
    assert after.call is None
    assert fleet.membership.take_unresolved("a") == (trial, NOW_S)


def test_an_agent_of_another_version_is_dismissed() -> None:
    """With the reason and the cure; it is no member."""
    fleet = Fleet()
    assert not fleet.join(versions={})
    (refused,) = fleet.events
    assert isinstance(refused, MachineRefused)
    assert "pip install" in refused.cure
    assert "node of a" not in fleet.cluster.agents
    assert fleet.scheduler.members == {}


def test_a_refusal_that_may_be_temporary_is_deferred_a_few_times() -> None:
    """Ray notices late that a restarted machine's old node is gone."""
    fleet = Fleet()
    fleet.join()
    for _ in range(MOST_DEFERRALS):
        fleet.cluster.agents["new node"] = FakeAgent(node="new node")
        change = Joined(node="new node", hello=fleet.hello("a", boot_id="next boot"))
        assert not fleet.membership.apply(change)
    assert len(fleet.cluster.deferred) == MOST_DEFERRALS
    assert not any(isinstance(event, MachineRefused) for event in fleet.events)
    fleet.cluster.agents["new node"] = FakeAgent(node="new node")
    fleet.membership.apply(Joined(node="new node", hello=fleet.hello("a", boot_id="next boot")))
    assert isinstance(fleet.events[-1], MachineRefused)


@pytest.mark.parametrize(("ahead_s", "reported"), [(MOST_SKEW_S - 1, False), (-MOST_SKEW_S - 1, True)])
def test_a_clock_that_is_off_by_seconds_is_reported(ahead_s: float, reported: bool) -> None:  # noqa: FBT001 - a case
    """The machine's rows are dated by it."""
    fleet = Fleet()
    fleet.join(clock_s=NOW_S + ahead_s)
    clocks = [event.ahead_s for event in fleet.events if isinstance(event, ClockDiffers)]
    assert clocks == ([ahead_s] if reported else [])


def test_what_the_cluster_refuses_or_defers_is_reported() -> None:
    """No machine joins by it."""
    fleet = Fleet()
    assert not fleet.membership.apply(Refused(node="n", why="no id", cure="Give it one."))
    assert not fleet.membership.apply(Deferred(node="m", why="It is busy."))
    assert fleet.events == [
        MachineRefused(node="n", why="no id", cure="Give it one."),
        Stalled(message="m: It is busy. It is asked again."),
    ]


def test_the_error_of_a_run_names_every_machine_that_was_set_aside() -> None:
    """Of a single machine it is that machine's own error, with its cure."""
    full = MachineError("the disk is full.", cure="Make room.")
    one, two = Fleet(), Fleet()
    one.join("a")
    one.membership.set_aside(one.membership.sessions[0], full)
    assert one.events[-1] == MachineSetAside(machine="fake", why=str(full))
    assert one.membership.all_set_aside() is full
    two.join("a")
    two.join("b")
    for session in two.membership.sessions:
        two.membership.set_aside(session, full)
    error = two.membership.all_set_aside()
    assert error.problems == ("fake: the disk is full. Make room.",) * 2
    assert "Nothing is lost" in error.cure


def test_the_study_is_recorded_once_for_each_new_machine(tmp_path: Path) -> None:
    """With the names of machines and places, which the views show."""
    fleet = Fleet(changed(TINY_STUDY, {"placement": "any-machine"}))
    with open_store(tmp_path / "store", study="tiny") as store:
        fleet.membership.record(store)
        assert store.last_record("tiny") is None
        fleet.join("a")
        fleet.membership.record(store)
        first = store.last_record("tiny")
        assert first is not None
        assert dict(first.machines) == {"a": "fake"}
        assert list(dict(first.places).values()) == ["class of fake"]
        fleet.membership.record(store)
        assert store.last_record("tiny") == first
        fleet.join("b")
        fleet.membership.record(store)
        second = store.last_record("tiny")
        assert second is not None
        assert dict(second.machines) == {"a": "fake", "b": "fake"}
