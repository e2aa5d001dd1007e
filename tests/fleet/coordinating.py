"""Coordinators on a real cluster: one in the test's process, others as programs."""

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
from tests.support.tiny_trials import tiny_trial

STORE = "store"


OLD_COORDINATOR = """
import pickle, sys
from coordinator.cluster.interface import Command, Joined, Run
from coordinator.cluster.ray import RayCluster

cluster = RayCluster(Command(store_id="store", epoch=1), sys.argv[1])
trial = pickle.load(open(sys.argv[2], "rb"))
while not (joined := [change for change in cluster.changes() if isinstance(change, Joined)]):
    cluster.answers(1.0)
cluster.start(joined[0].node, Run(trial=trial))
print(joined[0].hello.pid, flush=True)
cluster.answers(1000.0)
"""


NEW_COORDINATOR = """
import json, sys
from coordinator.cluster.interface import Command, Joined
from coordinator.cluster.ray import RayCluster

cluster = RayCluster(Command(store_id="store", epoch=2), sys.argv[1])
while not (joined := [change for change in cluster.changes() if isinstance(change, Joined)]):
    cluster.answers(1.0)
print(json.dumps([joined[0].hello.pid, *joined[0].hello.waiting]))
cluster.close()
"""

LOSE_ONE_ANSWER = json.dumps(
    {
        "CoreWorkerService.grpc_client.PushTask": {
            "num_failures": 1,
            "req_failure_prob": 0,
            "resp_failure_prob": 0,
            "in_flight_failure_prob": 100,
        }
    }
)
"""Value of RAY_testing_rpc_failure with which the first call of a coordinator arrives and its answer is lost."""


OTHER_STORE_COORDINATOR = """
import sys
from coordinator.cluster.interface import Command, Deferred
from coordinator.cluster.ray import RayCluster

cluster = RayCluster(Command(store_id="another store", epoch=1), sys.argv[1])
while not [change for change in cluster.changes() if isinstance(change, Deferred) and "busy" in change.why]:
    cluster.answers(1.0)
cluster.close()
print("deferred")
"""
"""Program of a coordinator that finds an agent which another one commands, and ends."""


@contextmanager
def coordinating(head: FakeMachine, *, epoch: int = 1, patience_s: float = 20) -> Iterator[RayCluster]:
    """Give a coordinator on the head, and close it at the end."""
    cluster = RayCluster(Command(store_id=STORE, epoch=epoch), head.address, head_patience_s=patience_s)
    try:
        yield cluster
    finally:
        cluster.close()


def changes_until(
    cluster: RayCluster, enough: Callable[[Sequence[MembershipChange]], bool], seconds: float = 60
) -> list[MembershipChange]:
    """Return all changes from now on, until `enough` is true of them."""
    seen: list[MembershipChange] = []
    ends = time.monotonic() + seconds
    while not enough(seen):
        assert time.monotonic() < ends, seen
        seen += cluster.changes()
        if not enough(seen):
            assert cluster.answers(1.0) == []
    return seen


def joined(cluster: RayCluster, *names: str) -> dict[str, Joined]:
    """Wait until the machines of these names have joined; return them by name."""

    def by_name(seen: Sequence[MembershipChange]) -> dict[str, Joined]:
        return {change.hello.machine.name: change for change in seen if isinstance(change, Joined)}

    return by_name(changes_until(cluster, lambda seen: set(names) <= set(by_name(seen))))


def answer_of(cluster: RayCluster, seconds: float = 60) -> CallResult:
    """Return the one answer that is due."""
    ends = time.monotonic() + seconds
    while True:
        answers = cluster.answers(1.0)
        if answers:
            (answer,) = answers
            return answer
        assert time.monotonic() < ends, "no answer"


def answer_to(cluster: RayCluster, node: str, call: Call) -> CallResult:
    """Start `call` and return its answer."""
    cluster.start(node, call)
    return answer_of(cluster)


def warm_for(seconds: float) -> Trial:
    """Return a trial whose warm-up takes `seconds`."""
    trial = tiny_trial(store_id=STORE)
    timing = replace(trial.protocol.timing, warm_up_at_least_s=seconds, warm_up_at_most_s=seconds)
    return replace(trial, timeout_s=600.0, protocol=replace(trial.protocol, timing=timing))


def preparation_of(trial: Trial) -> Prepare:
    """Return the call that prepares `trial`."""
    return Prepare(work=((trial.protocol.model, trial.protocol.task),))
