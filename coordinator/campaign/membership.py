"""Who takes part in a campaign: the agents that are there, the names of their machines, and who is refused."""

from __future__ import annotations

import time
from collections.abc import Callable

from agent.service import versions
from coordinator.campaign.admission import Refusal, check_admission
from coordinator.campaign.agent_session import AgentSession, preparation_items
from coordinator.cluster.interface import Cluster, Deferred, Joined, Left, MembershipChange, Refused
from coordinator.events.events import (
    ClockDiffers,
    Event,
    MachineJoined,
    MachineLeft,
    MachineRefused,
    MachineSetAside,
    Stalled,
)
from coordinator.scheduling.machine_class import machine_class
from coordinator.scheduling.scheduler import Member, Scheduler
from coordinator.store.port import CampaignStore
from coordinator.store.study_record import study_record
from joulefleet.errors import JoulefleetError, MachineError
from joulefleet.plan.expand import Pinned
from joulefleet.plan.trial import Trial

MOST_SKEW_S = 5.0
"""Largest difference of clocks that is not reported, seconds.

Clocks that are kept differ by milliseconds; a busy coordinator reads a hello some seconds late.
"""

MOST_DEFERRALS = 2
"""Number of times that an agent is asked again whose refusal may be temporary."""


class Membership:
    """The sessions of the agents that are there, and which machines have ever taken part.

    The campaign owns it and calls it from its one thread: `apply` for each change of the cluster, `lose` when an
    answer says that an agent is lost, then `record` before it hands out work. It tells the scheduler who joins and
    leaves, tells the cluster whom to defer or dismiss, and reports both. Only `record` raises: StoreError.
    """

    def __init__(
        self,
        cluster: Cluster,
        scheduler: Scheduler,
        pinned: Pinned,
        *,
        on_event: Callable[[Event], None],
        clock: Callable[[], float],
        time_of_day: Callable[[], float] = time.time,
    ) -> None:
        self._sessions: dict[str, AgentSession] = {}
        self._names: dict[str, str] = {}
        self._unresolved: dict[str, tuple[Trial, float]] = {}
        self._cluster = cluster
        self._scheduler = scheduler
        self._pinned = pinned
        self._work = preparation_items(pinned)
        self._on_event = on_event
        self._clock = clock
        self._time_of_day = time_of_day
        self._own_versions = versions()
        self._refusals: dict[str, int] = {}
        self._recorded = 0
        self._errors: dict[str, JoulefleetError] = {}

    @property
    def sessions(self) -> list[AgentSession]:
        """The sessions of all agents that are there."""
        return list(self._sessions.values())

    def session(self, node: str) -> AgentSession | None:
        """Return the session of the agent on `node`; None where there is none."""
        return self._sessions.get(node)

    def name(self, machine_or_place: str) -> str:
        """Return the name for people of a machine or a place that has joined, by its id."""
        return self._names[machine_or_place]

    def names(self, which: Callable[[Member], bool]) -> tuple[str, ...]:
        """Return the names of the machines that have joined for which `which` is true."""
        return tuple(self._names[member.machine_id] for member in self._scheduler.members.values() if which(member))

    def apply(self, change: MembershipChange) -> bool:
        """Follow one change of the cluster; return whether a machine has joined by it."""
        match change:
            case Joined(node=node, hello=hello):
                self.lose(node, "its agent is a new one")
                present = {session.machine_id: (session.node, session.hello) for session in self._sessions.values()}
                refusal = check_admission(hello, own=self._own_versions, present=present, study=self._pinned.study)
                if refusal is None:
                    self._admit(AgentSession(node, hello, self._work))
                    return True
                self._refuse(node, refusal)
            case Refused(node=node, why=why, cure=cure):
                self._on_event(MachineRefused(node=node, why=why, cure=cure))
            case Left(node=node, why=why):
                self.lose(node, why)
            case Deferred(node=node, why=why):
                self._on_event(Stalled(message=f"{node}: {why} It is asked again."))
        return False

    def lose(self, node: str, why: str) -> None:
        """End the session of `node`, if there is one. Its trial stays unresolved until the machine is back."""
        session = self._sessions.pop(node, None)
        if session is None:
            return
        if session.trial is not None:
            self._unresolved[session.machine_id] = (session.trial, self._clock())
        self._scheduler.leave(session.machine_id)
        self._on_event(MachineLeft(machine=session.name, why=why))

    def take_unresolved(self, machine_id: str, attempt_id: str | None = None) -> tuple[Trial, float] | None:
        """Return the trial in which the machine's agent was lost, and when (seconds since 1970), once.

        With `attempt_id`, only where the trial is that attempt. None where there is none.
        """
        unresolved = self._unresolved.get(machine_id)
        if unresolved is None or attempt_id not in (None, unresolved[0].attempt_id):
            return None
        return self._unresolved.pop(machine_id)

    def set_aside(self, session: AgentSession, error: JoulefleetError) -> None:
        """Let a machine that cannot do its work take no further part in this run."""
        self._errors[session.machine_id] = error
        self._scheduler.set_aside(session.machine_id, str(error))
        self._on_event(MachineSetAside(machine=session.name, why=str(error)))

    def all_set_aside(self) -> JoulefleetError:
        """Return the error of a run whose machines were all set aside; of a single machine, its own error."""
        members = self._scheduler.members.values()
        if len(members) == len(self._errors) == 1:
            return next(iter(self._errors.values()))
        reasons = [f"{self._names[member.machine_id]}: {member.set_aside}" for member in members]
        return MachineError(reasons, cure="Nothing is lost: fix this and run again.")

    def record(self, store: CampaignStore) -> None:
        """Write the study and who takes part in it to the store, where a machine is new. Raises StoreError."""
        members, places = self._scheduler.members, self._scheduler.places
        if len(members) == self._recorded:
            return
        self._recorded = len(members)
        machines = {machine_id: self._names[machine_id] for machine_id in members}
        named = {place: self._names[place] for place in places}
        store.record_study(study_record(self._pinned, machines=machines, places=named, store=store))

    def _refuse(self, node: str, refusal: Refusal) -> None:
        self._refusals[node] = self._refusals.get(node, 0) + 1
        if refusal.temporary and self._refusals[node] <= MOST_DEFERRALS:
            self._cluster.defer(node)
        else:
            self._cluster.dismiss(node)
            self._on_event(MachineRefused(node=node, why=refusal.why, cure=refusal.cure))

    def _admit(self, session: AgentSession) -> None:
        machine, hello = session.hello.machine, session.hello
        self._sessions[session.node] = session
        self._names[machine.machine_id] = machine.name
        place = machine.machine_id
        if self._pinned.study.placement == "any-machine":
            place = machine_class(machine)
            self._names.setdefault(place, f"class of {machine.cpu_model or 'unknown CPUs'}")
        self._scheduler.join(machine.machine_id, place=place, boot_id=hello.boot_id)
        self._on_event(MachineJoined(machine=machine.name, node=session.node))
        ahead_s = hello.clock_s - self._time_of_day()
        if abs(ahead_s) > MOST_SKEW_S:
            self._on_event(ClockDiffers(machine=machine.name, ahead_s=ahead_s))
