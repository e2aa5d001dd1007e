"""A cluster of this machine alone, with the agent in this process: for tests, and where Ray is not installed."""

from __future__ import annotations

import time
from collections.abc import Sequence

from agent.config import AgentSetup
from agent.service import AgentService
from coordinator.cluster.dispatch import dispatch
from coordinator.cluster.interface import Call, CallResult, Command, Joined, MembershipChange
from joulefleet.errors import JoulefleetError

NODE = "this process"
"""Name of the one node."""


class LocalCluster:
    """A `Cluster` of one node. A call is carried out when its answer is asked for."""

    def __init__(self, command: Command, setup: AgentSetup | None = None) -> None:
        """Make the agent. Raises JoulefleetError where it cannot measure here."""
        self._agent = AgentService(setup)
        self._command = command
        hello = self._agent.hello(command.store_id, command.epoch)
        self._changes: list[MembershipChange] = [Joined(node=NODE, hello=hello)]
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
            return [CallResult(node=NODE, call=call, data=dispatch(self._agent, call, self._command))]
        except JoulefleetError as error:
            return [CallResult(node=NODE, call=call, error=error)]

    def restart(self, node: str) -> None:
        """See `Cluster`."""
        self.close()

    def dismiss(self, node: str) -> None:
        """See `Cluster`."""
        self.close()

    def defer(self, node: str) -> None:
        """See `Cluster`."""

    def abandon(self) -> None:
        """See `Cluster`."""

    def close(self) -> None:
        """See `Cluster`."""
        self._agent.close()
