"""The agent as a Ray actor: plain, synchronous, single-threaded.

An idle Ray worker wakes a hundred times a second; one that is blocked inside a method does not. So
the actor blocks in its trial, and nothing of Ray runs beside the agent's one thread.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from agent.config import AgentSetup
from agent.service import AgentHello, AgentService
from coordinator.cluster.interface import Call, Command
from coordinator.cluster.local import obeyed
from coordinator.cluster.ray.overhead import CoordinatorProcess, Observers
from joulefleet.errors import JoulefleetError


class AgentActor:
    """`AgentService` behind Ray. Errors with a cure come back as values: a RayTaskError is always a bug."""

    def __init__(self, *, in_fleet: bool) -> None:
        # Ray marks its workers as the first to be killed for want of memory: that must be the work, not the agent.
        # Where the kernel does not let it (a Burstable pod) the order of killing is lost, nothing else.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("0", encoding="ascii")
        self._observers = Observers()
        self._service = AgentService(AgentSetup(observers=self._observers, in_fleet=in_fleet))

    def hello(self, command: Command, coordinator: CoordinatorProcess) -> AgentHello | JoulefleetError:
        """Who this is, and what it holds for the store of `command`. Remembers who coordinates."""
        try:
            hello = self._service.hello(command.store_id, command.epoch)
        except JoulefleetError as error:
            return error
        self._observers.coordinator = coordinator
        return hello

    def end(self, command: Command) -> None:
        """End this process, unless another coordinator has taken over meanwhile."""
        if self._service.commanded_by(command.store_id, command.epoch):
            import ray

            self._service.close()
            ray.actor.exit_actor()  # type: ignore[no-untyped-call]  # Ray has no types there

    def obey(self, call: Call, command: Command) -> bytes | JoulefleetError | None:
        """Do what `call` says."""
        try:
            return obeyed(self._service, call, command)
        except JoulefleetError as error:
            return error
