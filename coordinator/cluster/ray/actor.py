"""The agent as a Ray actor: plain, synchronous and single-threaded.

An idle Ray worker wakes a hundred times a second; one that is blocked inside a method does not. So
the actor blocks in its trial, and nothing of Ray runs in the agent's one thread meanwhile.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from agent.config import AgentSetup
from agent.service import AgentHello, AgentService
from coordinator.cluster.dispatch import dispatch
from coordinator.cluster.interface import Call, Command
from coordinator.cluster.ray.overhead import CoordinatorProcess, Observers
from joulefleet.errors import JoulefleetError


class AgentActor:
    """`AgentService` behind Ray. Errors with a cure are returned as values, so a RayTaskError is always a bug."""

    def __init__(self, *, in_fleet: bool) -> None:
        # When memory runs out, Ray has its workers killed first; that must be the work instead of the agent. Where
        # the kernel does not allow it (a Burstable pod), only the order of killing is lost.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("0", encoding="ascii")
        self._observers = Observers()
        self._service = AgentService(AgentSetup(observers=self._observers, in_fleet=in_fleet))

    def hello(self, command: Command, coordinator: CoordinatorProcess) -> AgentHello | JoulefleetError:
        """Return who this agent is and what it holds for the store of `command`. Remember the coordinator's process."""
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
        """Do `call`; return what it is answered with, or its error."""
        try:
            return dispatch(self._service, call, command)
        except JoulefleetError as error:
            return error
