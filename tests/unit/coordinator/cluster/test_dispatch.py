"""What an agent is asked to do for each call of a coordinator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from agent.service import AgentService
from coordinator.cluster.dispatch import dispatch
from coordinator.cluster.interface import Acknowledge, Command, Fetch, Prepare, Run
from joulefleet.plan.trial import Trial
from tests.support.tiny_trials import tiny_trial

COMMAND = Command(store_id="store", epoch=3)


class RecordingAgent:
    """Records what it is asked to do, each with the store and the epoch."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []

    @contextmanager
    def commanded(self, store_id: str, epoch: int) -> Iterator[None]:
        """See `AgentService`."""
        self.done.append(("commanded", store_id, epoch))
        yield

    def prepare(self, work: Sequence[Any]) -> None:
        """See `AgentService`."""
        self.done.append(("prepare", work))

    def acknowledge(self, store_id: str, attempt_ids: Sequence[str], epoch: int) -> None:
        """See `AgentService`."""
        self.done.append(("acknowledge", store_id, attempt_ids, epoch))

    def run(self, trial: Trial, epoch: int) -> bytes:
        """See `AgentService`."""
        self.done.append(("run", trial, epoch))
        return b"row"

    def fetch(self, store_id: str, attempt_id: str, epoch: int) -> bytes:
        """See `AgentService`."""
        self.done.append(("fetch", store_id, attempt_id, epoch))
        return b"row"


def dispatched(call: Prepare | Run | Fetch | Acknowledge) -> tuple[bytes | None, list[tuple[Any, ...]]]:
    """Return what `call` is answered with, and what the agent has done."""
    agent = RecordingAgent()
    return dispatch(cast("AgentService", agent), call, COMMAND), agent.done


def test_what_is_acknowledged_leaves_the_outbox_before_the_trial_runs() -> None:
    """A trial may end the agent; what the store has must be gone by then."""
    trial = tiny_trial()
    data, done = dispatched(Run(trial=trial, acknowledged=("a",)))
    assert (data, done) == (b"row", [("acknowledge", "store", ("a",), 3), ("run", trial, 3)])
    assert dispatched(Run(trial=trial)) == (b"row", [("run", trial, 3)])


def test_every_call_names_its_store_and_epoch() -> None:
    """An agent refuses the calls of a coordinator that was superseded."""
    assert dispatched(Fetch(attempt_id="a")) == (b"row", [("fetch", "store", "a", 3)])
    assert dispatched(Acknowledge(attempt_ids=("a",))) == (None, [("acknowledge", "store", ("a",), 3)])
    assert dispatched(Prepare(work=())) == (None, [("commanded", "store", 3), ("prepare", ())])
