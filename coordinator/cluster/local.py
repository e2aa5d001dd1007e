"""A cluster of this machine alone, its agent in this very process: for tests, and where there is no Ray."""

from __future__ import annotations

import time
from collections.abc import Sequence

from agent.config import AgentSetup
from agent.service import AgentService
from coordinator.cluster.interface import (
    Acknowledge,
    Call,
    CallResult,
    Command,
    Fetch,
    Joined,
    MembershipChange,
    Prepare,
    Run,
)
from joulefleet.errors import JoulefleetError

NODE = "this process"


class LocalCluster:
    """See `Cluster`. A call is done when its answer is asked for."""

    def __init__(self, command: Command, setup: AgentSetup | None = None) -> None:
        self._agent = AgentService(setup)
        self._command = command
        self._changes: list[MembershipChange] = [
            Joined(node=NODE, hello=self._agent.hello(command.store_id, command.epoch)),
        ]
        self._call: Call | None = None

    def changes(self) -> Sequence[MembershipChange]:
        """See `Cluster`."""
        changes, self._changes = self._changes, []
        return changes

    def expecting(self) -> bool:
        """See `Cluster`."""
        return False

    def start(self, node: str, call: Call) -> None:
        """See `Cluster`."""
        self._call = call

    def answers(self, timeout_s: float) -> Sequence[CallResult]:
        """See `Cluster`."""
        call, self._call = self._call, None
        if call is None:
            time.sleep(timeout_s)
            return []
        try:
            return [CallResult(node=NODE, call=call, data=obeyed(self._agent, call, self._command))]
        except JoulefleetError as error:
            return [CallResult(node=NODE, call=call, error=error)]

    def restart(self, node: str) -> None:
        """See `Cluster`."""
        self._agent.close()

    def dismiss(self, node: str) -> None:
        """See `Cluster`."""
        self._agent.close()

    def defer(self, node: str) -> None:
        """See `Cluster`."""

    def abandon(self) -> None:
        """See `Cluster`."""

    def close(self) -> None:
        """See `Cluster`."""
        self._agent.close()


def obeyed(agent: AgentService, call: Call, command: Command) -> bytes | None:
    """What `agent` answers to `call`. Raises JoulefleetError."""
    store_id, epoch = command.store_id, command.epoch
    match call:
        case Prepare(work=work):
            with agent.commanded(store_id, epoch):
                agent.prepare(work)
        case Run(trial=trial, acknowledged=acknowledged):
            if acknowledged:
                agent.acknowledge(store_id, acknowledged, epoch)
            return agent.run(trial, epoch)
        case Fetch(attempt_id=attempt_id):
            return agent.fetch(store_id, attempt_id, epoch)
        case Acknowledge(attempt_ids=attempt_ids):
            agent.acknowledge(store_id, attempt_ids, epoch)
    return None
