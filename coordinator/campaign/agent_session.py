"""What the campaign keeps of one agent, from its hello until it is gone."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from agent.service import AgentHello
from coordinator.cluster.interface import Call
from joulefleet.plan.expand import Pinned
from joulefleet.plan.trial import ResolvedModel, ResolvedTask, Trial
from joulefleet.study.validate import tasks_of

PreparationItem = tuple[str, ResolvedModel, ResolvedTask]
"""Something to get ready: its name for people, the model and the task."""


@dataclass(slots=True)
class Desk:
    """One agent. It has one call at a time."""

    node: str
    hello: AgentHello
    to_fetch: deque[str]
    """What it holds of earlier runs and has not handed over yet."""
    to_prepare: deque[PreparationItem]
    unacknowledged: list[str] = field(default_factory=list)
    """What the store has and its outbox still holds."""
    call: Call | None = None
    trial: Trial | None = None
    """The trial that it runs."""
    due_s: float | None = None
    """By when the call must be answered, by the monotonic clock."""
    block: tuple[int, int] | None = None
    """Number and round of the block that was told of last."""
    done: bool = False
    """Whether it was told that nothing is left."""

    @property
    def machine_id(self) -> str:
        """The machine's id."""
        return self.hello.machine.machine_id

    @property
    def name(self) -> str:
        """The machine's name, for people."""
        return self.hello.machine.name


def all_work(pinned: Pinned) -> list[PreparationItem]:
    """Every model with every task it does, once for each set of files that they need."""
    study = pinned.study
    seen: dict[object, PreparationItem] = {}
    for name, model in study.models.items():
        for task_name in tasks_of(study, model):
            resolved, task = pinned.models[name], pinned.tasks[task_name]
            key = (resolved.digest, resolved.head, task.labels, task.digest if task.items.hub else "")
            seen.setdefault(key, (f"{name} for {task_name}", resolved, task))
    return list(seen.values())


def longest_of(trial: Trial) -> float:
    """How long `trial` may take until it has ended and the machine has cooled, seconds."""
    return trial.timeout_s + trial.protocol.timing.cool_down_at_most_s
