"""A coordinator of one's own on a real cluster, and what it hears."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from coordinator.cluster.interface import Call, CallResult, Command, Joined, MembershipChange, Prepare
from coordinator.cluster.ray import RayCluster
from joulefleet.plan.trial import Trial
from tests.support.ray_nodes import FakeMachine
from tests.support.trials import tiny_trial

STORE = "store"


OLD_COORDINATOR = """
import pickle, sys
from coordinator.cluster.interface import Command, Joined, Run
from coordinator.cluster.ray import RayCluster

cluster = RayCluster(Command(store_id="store", epoch=1), sys.argv[1])
trial = pickle.load(open(sys.argv[2], "rb"))
while not (found := [change for change in cluster.changes() if isinstance(change, Joined)]):
    cluster.answers(1.0)
cluster.start(found[0].node, Run(trial=trial))
print(found[0].hello.pid, flush=True)
cluster.answers(1000.0)
"""


NEW_COORDINATOR = """
import json, sys
from coordinator.cluster.interface import Command, Joined
from coordinator.cluster.ray import RayCluster

cluster = RayCluster(Command(store_id="store", epoch=2), sys.argv[1])
while not (found := [change for change in cluster.changes() if isinstance(change, Joined)]):
    cluster.answers(1.0)
print(json.dumps([found[0].hello.pid, *found[0].hello.waiting]))
cluster.close()
"""

LOSES_AN_ANSWER = json.dumps(
    {
        "CoreWorkerService.grpc_client.PushTask": {
            "num_failures": 1,
            "req_failure_prob": 0,
            "resp_failure_prob": 0,
            "in_flight_failure_prob": 100,
        }
    }
)
"""Ray's own way of losing what an agent says: the first call of a coordinator arrives, its answer does not."""


OF_ANOTHER_STORE = """
import sys
from coordinator.cluster.interface import Command, Deferred
from coordinator.cluster.ray import RayCluster

cluster = RayCluster(Command(store_id="another store", epoch=1), sys.argv[1])
while not [change for change in cluster.changes() if isinstance(change, Deferred) and "busy" in change.why]:
    cluster.answers(1.0)
cluster.close()
print("deferred")
"""
"""A coordinator that finds an agent at the command of another, and goes again."""


@contextmanager
def coordinating(head: FakeMachine, *, epoch: int = 1, patience_s: float = 20) -> Iterator[RayCluster]:
    """A coordinator on the head."""
    cluster = RayCluster(Command(store_id=STORE, epoch=epoch), head.address, head_patience_s=patience_s)
    try:
        yield cluster
    finally:
        cluster.close()


def changes_until(
    cluster: RayCluster, enough: Callable[[Sequence[MembershipChange]], bool], seconds: float = 60
) -> list[MembershipChange]:
    """All changes from now on, until they are enough."""
    seen: list[MembershipChange] = []
    ends = time.monotonic() + seconds
    while not enough(seen):
        assert time.monotonic() < ends, seen
        seen += cluster.changes()
        if not enough(seen):
            assert cluster.answers(1.0) == []
    return seen


def joined(cluster: RayCluster, *names: str) -> dict[str, Joined]:
    """The machines of these names, by name, once all have joined."""

    def by_name(seen: Sequence[MembershipChange]) -> dict[str, Joined]:
        return {change.hello.machine.name: change for change in seen if isinstance(change, Joined)}

    return by_name(changes_until(cluster, lambda seen: set(names) <= set(by_name(seen))))


def answer_of(cluster: RayCluster, seconds: float = 60) -> CallResult:
    """The one answer that is due."""
    ends = time.monotonic() + seconds
    while True:
        answers = cluster.answers(1.0)
        if answers:
            (answer,) = answers
            return answer
        assert time.monotonic() < ends, "no answer"


def asked(cluster: RayCluster, node: str, call: Call) -> CallResult:
    """The answer to `call`."""
    cluster.start(node, call)
    return answer_of(cluster)


def warm_for(seconds: float) -> Trial:
    """A trial whose warm-up takes so long."""
    trial = tiny_trial(store_id=STORE)
    timing = replace(trial.protocol.timing, warm_up_at_least_s=seconds, warm_up_at_most_s=seconds)
    return replace(trial, timeout_s=600.0, protocol=replace(trial.protocol, timing=timing))


def prepared(trial: Trial) -> Prepare:
    """What makes it ready."""
    return Prepare(work=((trial.protocol.model, trial.protocol.task),))
