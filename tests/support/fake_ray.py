"""As much of Ray as `RayCluster` calls. Agents answer what a test gives them, and nothing takes time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from coordinator.cluster.ray.settings import AGENT_RESOURCE


class RayError(Exception):
    """As `ray.exceptions.RayError`: the infrastructure failed."""


class RayTaskError(RayError):
    """As Ray's: the actor's method raised."""


class ActorUnavailableError(RayError):
    """As Ray's: the network failed, and the actor may be alive."""


@dataclass(eq=False, slots=True)
class Reference:
    """An answer that may still come: a value, or an error that is raised."""

    method: str
    answer: Any = None
    ready: bool = False

    def give(self, answer: Any) -> None:
        """Let the answer come."""
        self.answer, self.ready = answer, True


@dataclass(eq=False, slots=True)
class Actor:
    """One agent's actor."""

    ray: FakeRay
    name: str
    calls: list[Reference] = field(default_factory=list)

    def __getattr__(self, method: str) -> Any:
        """Return a remote method: its answer to `hello` comes at once, the others when the test gives them."""

        def remote(*_: Any) -> Reference:
            reference = Reference(method=method)
            self.calls.append(reference)
            if method == "hello":
                reference.give(self.ray.hello(self.name))
            return reference

        return SimpleNamespace(remote=remote)


@dataclass(slots=True)
class FakeRay:
    """A cluster of Ray, its module and its head in one. `hello` gives each actor's answer, by the actor's name."""

    hello: Callable[[str], Any]
    node_ids: list[str] = field(default_factory=list)
    actors: dict[str, Actor] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    is_shut_down: bool = False
    head_is_there: bool = True
    exceptions: Any = field(
        default_factory=lambda: SimpleNamespace(
            RayError=RayError, RayTaskError=RayTaskError, ActorUnavailableError=ActorUnavailableError
        )
    )

    def nodes(self) -> list[dict[str, Any]]:
        """See `Head`: nodes that measure, and one that does not."""
        head = {"NodeID": "0" * 8, "NodeManagerHostname": "head", "Alive": True, "Resources": {}}
        return [head] + [
            {"NodeID": node_id, "NodeManagerHostname": "host", "Alive": True, "Resources": {AGENT_RESOURCE: 1.0}}
            for node_id in self.node_ids
        ]

    def is_there(self) -> bool:
        """See `Head`."""
        return self.head_is_there

    def remote(self, **_: Any) -> Callable[[type], Any]:
        """Return what makes an actor of a class, or finds it by its name."""

        def options(*, name: str, **_: Any) -> Any:
            def make(**_: Any) -> Actor:
                if name not in self.actors:
                    self.started.append(name)
                    self.actors[name] = Actor(ray=self, name=name)
                return self.actors[name]

            return SimpleNamespace(remote=make)

        return lambda _: SimpleNamespace(options=options)

    def wait(
        self, references: Sequence[Reference], *, num_returns: int, timeout: float
    ) -> tuple[list[Reference], list[Reference]]:
        """Return those that are ready, without waiting."""
        ready = [reference for reference in references if reference.ready][:num_returns]
        return ready, [reference for reference in references if reference not in ready]

    def get(self, reference: Reference) -> Any:
        """Return an answer, or raise it."""
        if isinstance(reference.answer, RayError):
            raise reference.answer
        return reference.answer

    def kill(self, actor: Actor, *, no_restart: bool) -> None:
        """End an actor's process."""
        assert no_restart
        self.killed.append(actor.name)
        self.actors.pop(actor.name, None)

    def shutdown(self) -> None:
        """Leave the cluster."""
        self.is_shut_down = True
