"""Who takes part in a campaign: which agents are there, under which machine's name, and which were turned away."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

from agent.service import versions
from coordinator.campaign.admission import Refusal, refusal
from coordinator.campaign.agent_session import Desk, PreparationItem
from coordinator.cluster.interface import Cluster, Deferred, Joined, Left, MembershipChange, Refused
from coordinator.events.events import ClockDiffers, Event, MachineJoined, MachineLeft, MachineRefused, Stalled
from coordinator.scheduling.machine_class import machine_class
from coordinator.scheduling.scheduler import Scheduler
from coordinator.store.port import CampaignStore
from coordinator.store.study_record import study_record
from joulefleet.plan.expand import Pinned
from joulefleet.plan.trial import Trial

MOST_SKEW_S = 5.0
"""A clock that is kept differs by milliseconds; a busy coordinator hears an agent some seconds late."""

SECOND_LOOKS = 2
"""So often an agent is asked again that is refused only until Ray has noticed that its machine was restarted."""


class Attendance:
    """The desks of the agents that are there. `work` is what each has to prepare."""

    def __init__(
        self,
        cluster: Cluster,
        scheduler: Scheduler,
        pinned: Pinned,
        *,
        work: Sequence[PreparationItem],
        tell: Callable[[Event], None],
        clock: Callable[[], float],
        time_of_day: Callable[[], float] = time.time,
    ) -> None:
        self.desks: dict[str, Desk] = {}
        """By node."""
        self.names: dict[str, str] = {}
        """For people, by machine id and by place."""
        self.in_doubt: dict[str, tuple[Trial, float]] = {}
        """By machine: trials whose agent was lost, and when. It may have finished them, and says so when it is back."""
        self._cluster = cluster
        self._scheduler = scheduler
        self._pinned = pinned
        self._work = work
        self._tell = tell
        self._clock = clock
        self._time_of_day = time_of_day
        self._own_versions = versions()
        self._turned_away: dict[str, int] = {}
        self._recorded = 0

    def changed(self, change: MembershipChange) -> bool:
        """Take note of `change`; returns whether a machine has joined by it."""
        match change:
            case Joined(node=node, hello=hello):
                self.away(node, "its agent is a new one")
                present = {desk.machine_id: (desk.node, desk.hello) for desk in self.desks.values()}
                refused = refusal(hello, own=self._own_versions, present=present, study=self._pinned.study)
                if refused is None:
                    desk = Desk(node=node, hello=hello, to_fetch=deque(hello.waiting), to_prepare=deque(self._work))
                    self._seat(node, desk)
                    return True
                self._turn_away(node, refused)
            case Refused(node=node, why=why, cure=cure):
                self._tell(MachineRefused(node=node, why=why, cure=cure))
            case Left(node=node, why=why):
                self.away(node, why)
            case Deferred(node=node, why=why):
                self._tell(Stalled(message=f"{node}: {why} It is asked again."))
        return False

    def away(self, node: str, why: str) -> None:
        """The agent of a node has gone; whether a trial that it ran has ended is not known until it is back."""
        desk = self.desks.pop(node, None)
        if desk is None:
            return
        if desk.trial is not None:
            self.in_doubt[desk.machine_id] = (desk.trial, self._clock())
        self._scheduler.leave(desk.machine_id)
        self._tell(MachineLeft(machine=desk.name, why=why))

    def record(self, store: CampaignStore) -> None:
        """Keep the study, and who takes part in it, before anything is measured."""
        members, places = self._scheduler.members, self._scheduler.places
        if len(members) == self._recorded:
            return
        self._recorded = len(members)
        machines = {machine_id: self.names[machine_id] for machine_id in members}
        named = {place: self.names[place] for place in places}
        store.record_study(study_record(self._pinned, machines=machines, places=named, store=store))

    def _turn_away(self, node: str, refused: Refusal) -> None:
        self._turned_away[node] = self._turned_away.get(node, 0) + 1
        if refused.perhaps_not and self._turned_away[node] <= SECOND_LOOKS:
            self._cluster.defer(node)
        else:
            self._cluster.dismiss(node)
            self._tell(MachineRefused(node=node, why=refused.why, cure=refused.cure))

    def _seat(self, node: str, desk: Desk) -> None:
        machine = desk.hello.machine
        every = self._pinned.study.placement == "every-machine"
        place = machine.machine_id if every else machine_class(machine)
        self.desks[node] = desk
        self.names[machine.machine_id] = machine.name
        if not every:
            self.names.setdefault(place, f"class of {machine.cpu_model or 'unknown CPUs'}")
        self._scheduler.join(machine.machine_id, place=place, boot_id=desk.hello.boot_id)
        self._tell(MachineJoined(machine=machine.name, node=node))
        ahead_s = desk.hello.clock_s - self._time_of_day()
        if abs(ahead_s) > MOST_SKEW_S:
            self._tell(ClockDiffers(machine=machine.name, ahead_s=ahead_s))
