"""A coordinator's cluster in a simulated fleet, and stores at any of whose steps the coordinator may end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from agent.runner.discovery import Offer
from agent.service import AgentHello, versions
from coordinator.cluster.interface import Call, CallResult, Command, Joined, Left, MembershipChange, Refused
from coordinator.scheduling.attempt import AttemptFact
from coordinator.store.writer import StoreWriter
from joulefleet.errors import JoulefleetError, StoreError, SupersededError
from joulefleet.store.records import StudyRecord
from tests.support.fake_cluster import MACHINE
from tests.support.simulated_fleet import Agent, Node, World
from tests.support.simulated_outcomes import fact_in

AGAIN_S = 30.0
"""Time after which a deferred agent is asked again, seconds."""

own_versions = cache(versions)


@dataclass(slots=True)
class _View:
    """A node as one coordinator sees it."""

    node: Node
    agent: Agent | None = None
    joined: bool = False
    barred: bool = False
    not_before_s: float = 0.0
    call: Call | None = None


class FleetCluster:
    """A `Cluster` of one coordinator. It dies with its coordinator, and the agents go on."""

    def __init__(self, world: World, command: Command) -> None:
        self.world, self.command = world, command
        self.dead = False
        self._views: dict[str, _View] = {}
        self._changes: list[MembershipChange] = []
        self._answers: list[CallResult] = []
        self._superseded: SupersededError | None = None

    def changes(self) -> Sequence[MembershipChange]:
        """See `Cluster`."""
        self._look()
        changes, self._changes = self._changes, []
        return changes

    def expecting(self) -> bool:
        """See `Cluster`."""
        return any(
            view.agent is not None or (view.not_before_s and not view.barred)
            for view in self._views.values()
            if not view.joined
        )

    def start(self, node: str, call: Call) -> None:
        """See `Cluster`."""
        self.world.danger()
        view = self._views.get(node)
        if view is None or not view.joined or view.agent is None:
            self._answers.append(CallResult(node=node, call=call, lost="its agent is not there"))
            return
        assert view.call is None, f"{node} was given two calls"
        view.call = call
        view.agent.submit(self, call)
        self.world.danger()

    def answers(self, timeout_s: float) -> Sequence[CallResult]:
        """See `Cluster`."""
        ends = self.world.now + timeout_s
        while True:
            self._look()
            if self._answers or self._changes or self.world.now >= ends:
                break
            self.world.step(ends)
        self.world.danger()
        answers, self._answers = self._answers, []
        return answers

    def restart(self, node: str) -> None:
        """See `Cluster`."""
        view = self._views.get(node)
        if view is not None:
            self._lose(view, "its agent was ended")

    def dismiss(self, node: str) -> None:
        """See `Cluster`."""
        view = self._views.get(node)
        if view is not None:
            view.joined, view.barred = False, True
            self._lose(view, "dismissed")

    def defer(self, node: str) -> None:
        """See `Cluster`."""
        view = self._views.get(node)
        if view is not None:
            # Its agent lives on, but nobody calls it.
            view.agent, view.joined, view.not_before_s = None, False, self.world.now + AGAIN_S

    def abandon(self) -> None:
        """See `Cluster`."""
        self.dead = True

    def close(self) -> None:
        """See `Cluster`."""
        if not self.dead:
            for view in self._views.values():
                if view.joined:
                    self._lose(view, "the coordinator has ended")
        self.dead = True

    def heard(self, agent: Agent, call: Call | None, answer: CallResult | JoulefleetError | None) -> None:
        """Take what an agent answers, if the coordinator still lives."""
        view = next((view for view in self._views.values() if view.agent is agent), None)
        if self.dead or view is None:
            return
        if isinstance(answer, CallResult):
            view.call = None
            self._answers.append(replace(answer, node=view.node.name))
        elif isinstance(answer, SupersededError):
            self._superseded = answer
        elif isinstance(answer, JoulefleetError):
            view.barred = True
            self._lose(view, str(answer))
            self._changes.append(Refused(node=view.node.name, why=str(answer), cure=answer.cure))
        else:
            view.joined = True
            self._changes.append(Joined(node=view.node.name, hello=hello_of(agent)))

    def _look(self) -> None:
        if self._superseded is not None:
            self.abandon()
            raise self._superseded
        for name in [name for name in self._views if name not in self.world.nodes]:
            self._lose(self._views.pop(name), "the node left the cluster")
        for name, node in self.world.nodes.items():
            view = self._views.setdefault(name, _View(node))
            if view.agent is not None and (not view.agent.alive or view.agent.cut):
                self._lose(view, "its agent died")
            if view.agent is None and not view.barred and self.world.now >= view.not_before_s:
                view.agent = self.world.agent_of(node)
                view.agent.submit(self, None)

    def _lose(self, view: _View, why: str) -> None:
        if view.joined:
            self._changes.append(Left(node=view.node.name, why=why))
        if view.call is not None:
            self._answers.append(CallResult(node=view.node.name, call=view.call, lost=why))
        if view.agent is not None and not view.agent.cut:
            view.agent.kill()
        view.agent, view.joined, view.call = None, False, None


def hello_of(agent: Agent) -> AgentHello:
    """Return what an agent reports of itself when it joins."""
    host = agent.host
    return AgentHello(
        machine=replace(MACHINE, machine_id=host.machine_id, name=host.name),
        boot_id=host.boot_id,
        hostname=host.name,
        pid=1,
        versions=own_versions(),
        waiting=agent.waiting(),
        offers=(Offer(label="bare", cpus=1, cpu_limit=None),),
        clock_s=time.time(),
    )


class DangerousStore:
    """A real store. The coordinator may end at any step of it, and its disk may be full."""

    def __init__(
        self, writer: StoreWriter, disk: Disk, *, danger: Callable[[], None], full: Callable[[], bool]
    ) -> None:
        """Copy what is committed to `disk`."""
        self._disk = disk
        self.store_id = writer.store_id
        self.attempts, self.find, self.last_record = writer.attempts, writer.find, writer.last_record
        self._writer, self._danger, self._full = writer, danger, full

    def commit(self, attempt_id: str, parquet: bytes) -> None:
        """See `CampaignStore`."""
        self._danger()
        _refuse(full=self._full())
        self._writer.commit(attempt_id, parquet)
        self._disk.files.setdefault(attempt_id, parquet)
        self._danger()

    def record_study(self, record: StudyRecord) -> None:
        """See `CampaignStore`."""
        self._danger()
        _refuse(full=self._full())
        self._writer.record_study(record)

    def record_plan(self, study: str, place: str, protocols: Sequence[str]) -> None:
        """See `CampaignStore`."""
        _refuse(full=self._full())
        self._writer.record_plan(study, place, protocols)


class Disk:
    """What a store in memory keeps when its coordinator ends."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.records: dict[str, StudyRecord] = {}


class MemoryStore:
    """A `CampaignStore` in memory: what a method has written when it returns is durable."""

    store_id = "store"

    def __init__(self, disk: Disk, *, danger: Callable[[], None], full: Callable[[], bool]) -> None:
        self._disk, self._danger, self._full = disk, danger, full

    def attempts(self, study: str) -> list[AttemptFact]:
        """See `CampaignStore`."""
        return [fact_in(data) for _, data in sorted(self._disk.files.items())]

    def find(self, attempt_id: str) -> bytes | None:
        """See `CampaignStore`."""
        return self._disk.files.get(attempt_id)

    def commit(self, attempt_id: str, parquet: bytes) -> None:
        """See `CampaignStore`."""
        self._danger()
        if attempt_id not in self._disk.files:
            _refuse(full=self._full())
            self._disk.files[attempt_id] = parquet
        self._danger()

    def last_record(self, study: str) -> StudyRecord | None:
        """See `CampaignStore`."""
        return self._disk.records.get(study)

    def record_study(self, record: StudyRecord) -> None:
        """See `CampaignStore`."""
        self._danger()
        last = self.last_record(record.name)
        if last is None or last.digest != record.digest:
            _refuse(full=self._full())
            self._disk.records[record.name] = record

    def record_plan(self, study: str, place: str, protocols: Sequence[str]) -> None:
        """See `CampaignStore`."""
        _refuse(full=self._full())


def _refuse(*, full: bool) -> None:
    if full:
        raise StoreError("the disk is full.", cure="Make room and run again.")
