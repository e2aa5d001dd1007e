"""What `RayCluster` makes of the answers and failures of agents; tests/fleet has the same with real nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from coordinator.cluster.interface import (
    CallResult,
    Command,
    Deferred,
    Fetch,
    Joined,
    Left,
    MembershipChange,
    Refused,
)
from coordinator.cluster.ray import cluster as module
from coordinator.cluster.ray.cluster import MOST_EARLY_DEATHS, MOST_UNREACHABLE, RayCluster
from joulefleet.errors import BusyError, MachineError, SupersededError
from tests.support.fake_cluster import FakeAgent
from tests.support.fake_ray import ActorUnavailableError, FakeRay, RayError, RayTaskError, Reference

HELLO = FakeAgent(node="a").hello()
NODE, ACTOR = "host-aaaaaaaa", "agent-aaaaaaaa"
CALL = Fetch(attempt_id="x")


class OneNode:
    """A cluster with one node that measures. `hello` is what its agent answers when it is asked who it is."""

    def __init__(self) -> None:
        self.hello: Any = HELLO
        self.ray = FakeRay(hello=lambda name: self.hello, node_ids=["aaaaaaaa"])
        self.left_without_head = False

    def open(self) -> RayCluster:
        """Return the cluster, its agent joined where its answer allows that."""
        cluster = RayCluster(Command(store_id="store", epoch=1))
        cluster.answers(0)
        return cluster

    def call(self) -> Reference:
        """Return the call that the agent has got last."""
        return self.ray.actors[ACTOR].calls[-1]


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> OneNode:
    """Return one node, in a Ray whose nodes are looked at in every turn."""
    one = OneNode()
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(module, "ASK_AGAIN_S", 0.0)
    monkeypatch.setattr(module, "start_embedded", lambda **_: (one.ray, one.ray))
    monkeypatch.setattr(module, "leave_without_head", lambda: setattr(one, "left_without_head", True))
    return one


def kinds(changes: Sequence[MembershipChange]) -> list[type]:
    """Return what kinds of changes these are."""
    return [type(change) for change in changes]


def test_a_node_that_measures_joins_and_answers_calls(node: OneNode) -> None:
    """With a row or with an error of its own. A head that measures nothing has no agent."""
    cluster = node.open()
    assert cluster.changes() == [Joined(node=NODE, hello=HELLO)]
    assert node.ray.started == [ACTOR]
    assert not cluster.expecting()
    full = MachineError("the disk is full.", cure="Make room.")
    for answer, result in (
        (b"row", CallResult(node=NODE, call=CALL, data=b"row")),
        (None, CallResult(node=NODE, call=CALL)),
        (full, CallResult(node=NODE, call=CALL, error=full)),
    ):
        cluster.start(NODE, CALL)
        assert cluster.answers(0) == []
        node.call().give(answer)
        assert cluster.answers(0) == [result]
    assert cluster.changes() == []


def test_a_call_to_an_agent_that_is_not_there_or_not_idle_is_lost(node: OneNode) -> None:
    """The campaign may not know yet that the agent is gone."""
    cluster = node.open()
    cluster.start("nobody", CALL)
    cluster.start(NODE, CALL)
    cluster.start(NODE, CALL)
    assert [(answer.node, bool(answer.lost)) for answer in cluster.answers(0)] == [("nobody", True), (NODE, True)]


def test_an_agent_that_dies_in_a_call_is_replaced(node: OneNode) -> None:
    """Its call is lost, and it has left, before another one joins."""
    cluster = node.open()
    cluster.changes()
    cluster.start(NODE, CALL)
    node.call().give(RayError("The actor died.\nIts process was killed."))
    assert cluster.answers(0) == [CallResult(node=NODE, call=CALL, lost="Its process was killed.")]
    assert kinds(cluster.changes()) == [Left, Joined]
    assert node.ray.started == [ACTOR, ACTOR]


def test_an_agent_that_dies_again_and_again_before_its_hello_is_refused(node: OneNode) -> None:
    """It would not say who it is the next time either."""
    node.hello = RayError("It died.")
    cluster = node.open()
    changes: list[MembershipChange] = []
    for _ in range(2 * MOST_EARLY_DEATHS):
        changes += cluster.changes()
    (refused,) = changes
    assert isinstance(refused, Refused)
    assert f"died {MOST_EARLY_DEATHS} times" in refused.why
    assert len(node.ray.started) == MOST_EARLY_DEATHS
    assert not cluster.expecting()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (MachineError("this machine has no id.", cure="Give it one."), "this machine has no id."),
        (RayTaskError("No module named agent"), "could not say who it is (No module named agent)"),
    ],
)
def test_an_agent_that_cannot_take_part_is_refused_once(node: OneNode, answer: Exception, reason: str) -> None:
    """With its own reason."""
    node.hello = answer
    cluster = node.open()
    changes = [*cluster.changes(), *cluster.changes(), *cluster.changes()]
    assert [reason in change.why for change in changes if isinstance(change, Refused)] == [True]
    assert node.ray.started == [ACTOR]


def test_an_agent_that_cannot_start_is_refused_at_once(node: OneNode) -> None:
    """An installation that is broken does not get better."""
    node.hello = RayError("No module named torch")
    node.hello.actor_init_failed = True
    (refused,) = node.open().changes()
    assert isinstance(refused, Refused)
    assert "cannot start (No module named torch)" in refused.why


def test_a_bug_in_a_call_is_raised(node: OneNode) -> None:
    """The agent returns failures as values."""
    cluster = node.open()
    cluster.start(NODE, CALL)
    node.call().give(RayTaskError("KeyError"))
    with pytest.raises(RayTaskError):
        cluster.answers(0)


def test_an_agent_behind_a_broken_network_is_asked_again_and_refused_in_the_end(node: OneNode) -> None:
    """It may be in a trial and keep its row: it is not killed while the network may come back."""
    cluster = node.open()
    cluster.changes()
    cluster.start(NODE, CALL)
    node.call().give(ActorUnavailableError("no route to host"))
    node.hello = ActorUnavailableError("no route to host")
    assert cluster.answers(0) == [CallResult(node=NODE, call=CALL, lost="no route to host")]
    assert node.ray.killed == []
    changes: list[MembershipChange] = []
    for _ in range(2 * MOST_UNREACHABLE):
        changes += cluster.changes()
    assert kinds(changes) == [Left, Refused]
    assert "ports" in changes[-1].cure  # type: ignore[union-attr]  # it is Refused


def test_an_agent_that_is_busy_is_deferred_and_asked_again(node: OneNode) -> None:
    """The same reason is told once; the agent is not ended, as it measures for another store."""
    node.hello = BusyError("another coordinator commands it.", cure="Wait.")
    cluster = node.open()
    for _ in range(3):
        cluster.answers(0)
    assert cluster.expecting()
    node.hello = HELLO
    changes = [*cluster.changes(), *cluster.changes()]
    assert kinds(changes) == [Deferred, Joined]
    assert node.ray.killed == []


def test_a_newer_coordinator_ends_this_one_and_none_of_its_agents(node: OneNode) -> None:
    """They work for the newer one now."""
    node.hello = SupersededError("a newer coordinator commands.", cure="Let it finish.", highest=9)
    cluster = RayCluster(Command(store_id="store", epoch=1))
    with pytest.raises(SupersededError):
        cluster.answers(0)
    cluster.close()
    assert node.ray.killed == []
    assert [call.method for call in node.ray.actors[ACTOR].calls] == ["hello"]


def test_a_node_that_is_gone_has_left_with_its_call(node: OneNode) -> None:
    """Unless its answer came before."""
    cluster = node.open()
    cluster.changes()
    cluster.start(NODE, CALL)
    node.ray.node_ids.clear()
    assert cluster.answers(0) == [CallResult(node=NODE, call=CALL, lost="the node left the cluster")]
    assert kinds(cluster.changes()) == [Left]


def test_restart_replaces_an_agent_dismiss_ends_it_and_defer_lets_it_live(node: OneNode) -> None:
    """Whatever was asked of a node that is gone is ignored."""
    cluster = node.open()
    cluster.changes()
    cluster.start(NODE, CALL)
    cluster.restart(NODE)
    assert cluster.answers(0) == [CallResult(node=NODE, call=CALL, lost="its agent was ended")]
    assert kinds(cluster.changes()) == [Left, Joined]
    assert (node.ray.killed, node.ray.started) == ([ACTOR], [ACTOR, ACTOR])
    cluster.defer(NODE)
    assert kinds(cluster.changes()) == [Joined]
    assert len(node.ray.killed) == 1
    cluster.dismiss(NODE)
    cluster.restart(NODE)
    assert [*cluster.changes(), *cluster.changes()] == []
    assert (len(node.ray.killed), len(node.ray.started)) == (2, 2)
    for act in (cluster.restart, cluster.dismiss, cluster.defer):
        act("nobody")


def test_close_ends_idle_agents_and_kills_those_in_a_trial(node: OneNode) -> None:
    """An idle agent ends by itself, unless another coordinator has taken it over."""
    idle = node.open()
    idle.close()
    assert [call.method for call in node.ray.actors[ACTOR].calls] == ["hello", "end"]
    assert node.ray.is_shut_down
    busy = node.open()
    busy.start(NODE, CALL)
    busy.close()
    assert node.ray.killed == [ACTOR]


def test_without_a_head_nothing_is_asked_of_ray_at_the_end(node: OneNode) -> None:
    """It would wait for the head for a minute, or crash."""
    cluster = node.open()
    node.ray.head_is_there = False
    cluster.close()
    assert node.left_without_head
    assert not node.ray.is_shut_down
