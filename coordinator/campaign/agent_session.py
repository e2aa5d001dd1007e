"""One agent as the campaign sees it, from its hello until it is lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from agent.service import AgentHello
from coordinator.cluster.interface import Call, Fetch, Prepare
from joulefleet.plan.expand import Pinned
from joulefleet.plan.trial import ResolvedModel, ResolvedTask, Trial
from joulefleet.study.validate import tasks_of

SLACK_S = 120.0
"""Time after a trial's own time-out at which its agent is taken to hang, seconds."""

PreparationItem = tuple[str, ResolvedModel, ResolvedTask]
"""A model and a task whose files an agent prepares before its first trial, and their name for people."""


class AgentSession:
    """One agent, the one call that it may have, and what it still has to hand over and to prepare.

    Membership makes a session when an agent joins and drops it when the agent is lost; an agent that comes
    back gets a new one. The campaign drives it, in one thread: `begin` when it sends a call, `end_call` when the
    answer has come. Before a trial, `next_fetch` must have returned None, and `to_prepare` too. Nothing raises.
    """

    def __init__(self, node: str, hello: AgentHello, work: Sequence[PreparationItem]) -> None:
        self.node = node
        self.hello = hello
        self.call: Call | None = None
        """The call that the agent has not answered yet."""
        self.trial: Trial | None = None
        """The trial of that call."""
        self.prepared = 0
        """Number of items of `work` that are prepared."""
        self._work = work
        self._to_fetch = deque(hello.waiting)
        self._unacknowledged: list[str] = []
        self._due_s: float | None = None
        self._block: tuple[int, int] | None = None
        self._done = False

    @property
    def machine_id(self) -> str:
        """Id of the machine."""
        return self.hello.machine.machine_id

    @property
    def name(self) -> str:
        """Name of the machine, for people."""
        return self.hello.machine.name

    @property
    def to_prepare(self) -> PreparationItem | None:
        """The next item to prepare; None where all are prepared."""
        return self._work[self.prepared] if self.prepared < len(self._work) else None

    def note_prepared(self) -> None:
        """Note that the item of the call that was answered is prepared."""
        self.prepared += 1

    @property
    def to_prepare_in_all(self) -> int:
        """Number of items to prepare, prepared or not."""
        return len(self._work)

    def next_fetch(self) -> Fetch | None:
        """Return the call for the next attempt of an earlier run that the agent holds; None where none is left."""
        return Fetch(attempt_id=self._to_fetch.popleft()) if self._to_fetch else None

    def committed(self, attempt_id: str) -> None:
        """Note an attempt that is in the store now: the agent may drop it."""
        self._unacknowledged.append(attempt_id)

    def take_acknowledgements(self) -> tuple[str, ...]:
        """Return the committed attempts that the agent does not know of, once."""
        attempt_ids, self._unacknowledged = tuple(self._unacknowledged), []
        return attempt_ids

    def begin(self, call: Call, *, now_s: float, trial: Trial | None = None) -> None:
        """Note a call that is sent now; `now_s` by the monotonic clock."""
        self.call, self.trial = call, trial
        # What is prepared may have to be downloaded first, which takes an unknown time.
        self._due_s = (
            None if isinstance(call, Prepare) else now_s + SLACK_S + (0.0 if trial is None else _longest_s(trial))
        )

    def end_call(self) -> Trial | None:
        """Note that the call was answered; return its trial."""
        trial = self.trial
        self.call, self.trial, self._due_s = None, None, None
        return trial

    def is_overdue(self, now_s: float) -> bool:
        """Tell, once for each call, that it should have been answered by now; `now_s` by the monotonic clock."""
        if self._due_s is None or now_s <= self._due_s:
            return False
        self._due_s = None
        return True

    def enter_block(self, number: int, round_number: int) -> bool:
        """Note the block and round of a trial; return whether the trial before it was of another one."""
        before, self._block = self._block, (number, round_number)
        return before != self._block

    def set_done(self, done: bool) -> bool:  # noqa: FBT001 - the one thing it sets
        """Note whether nothing is left for the machine; return whether that has just become true."""
        before, self._done = self._done, done
        return done and not before


def preparation_items(pinned: Pinned) -> list[PreparationItem]:
    """Return every model with every task that it does, once for each set of files that they need."""
    study = pinned.study
    items: dict[object, PreparationItem] = {}
    for name, model in study.models.items():
        for task_name in tasks_of(study, model):
            resolved, task = pinned.models[name], pinned.tasks[task_name]
            key = (resolved.digest, resolved.head, task.labels, task.digest if task.items.hub else "")
            items.setdefault(key, (f"{name} for {task_name}", resolved, task))
    return list(items.values())


def _longest_s(trial: Trial) -> float:
    """Return the longest time until `trial` has ended and the machine has cooled, seconds."""
    return trial.timeout_s + trial.protocol.timing.cool_down_at_most_s
