"""A study on a cluster, from the first pilot to the last trial: one loop, in one thread.

The scheduler decides, the cluster carries out, the store keeps. A row is committed before it is
acknowledged, and acknowledged before the agent forgets it. Whatever dies, the next run goes on from
the store and from what the agents still hold.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from coordinator.campaign.agent_session import Desk, all_work, longest_of
from coordinator.campaign.awaited import Awaited
from coordinator.campaign.lost_trial import row_of_lost
from coordinator.campaign.membership import Attendance
from coordinator.campaign.reporter import Account
from coordinator.campaign.waiting import Patience, Waiting
from coordinator.cluster.interface import (
    Acknowledge,
    Call,
    CallResult,
    Cluster,
    Fetch,
    Prepare,
    Run,
)
from coordinator.events.events import (
    Collected,
    Event,
    MachineBusy,
    MachineDone,
    MachineSetAside,
    Preparing,
    Stalled,
    TrialLost,
)
from coordinator.scheduling.attempt import AttemptFact
from coordinator.scheduling.scheduler import Assignment, Member, Rest, Scheduler
from coordinator.store.attempts import fact_of, study_and_fact
from coordinator.store.port import CampaignStore
from joulefleet.errors import BusyError, JoulefleetError, MachineError, StoreError, SupersededError
from joulefleet.plan.design import Design
from joulefleet.plan.expand import Pinned
from joulefleet.plan.trial import Trial

SLACK_S = 120.0
"""A trial that is not answered so long after its own time-out is given up: the agent hangs."""

LOOK_S = 1.0
"""The loop looks at least so often for machines and for Ctrl-C."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignResult:
    """How a campaign ended; trials of the machines that took part."""

    total: int
    ok: int
    failed: int
    stopped: bool
    absent: tuple[str, ...] = ()
    """Names of machines that took part and have gone."""
    not_back: tuple[str, ...] = ()
    """Names of machines that took part in an earlier run, have trials left, and did not come. Not counted."""
    set_aside: tuple[str, ...] = ()
    """Names of machines that are there and take no further part."""

    @property
    def missing(self) -> int:
        """Trials that were not measured."""
        return self.total - self.ok - self.failed


class Campaign:
    """Runs what is missing of a study. `stop` is asked between trials; `tell` hears what happens.

    `known` are machines of earlier runs, id to name: for those that have trials left it waits.
    """

    def __init__(
        self,
        cluster: Cluster,
        store: CampaignStore,
        pinned: Pinned,
        *,
        tell: Callable[[Event], None],
        stop: Callable[[], bool],
        retry: frozenset[str] = frozenset(),
        known: Mapping[str, str] | None = None,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._pinned = pinned
        self._tell = tell
        self._stop = stop
        self._patience = patience or Patience()
        self._clock, self._monotonic, self._sleep = clock, monotonic, sleep
        self._design = Design(pinned, store_id=store.store_id)
        facts = list(store.attempts(pinned.study.name))
        self._scheduler = Scheduler(self._design, facts, retry=retry)
        self._awaited = Awaited(known or {}, facts, self._design)
        self._work = all_work(pinned)
        self._attendance = Attendance(cluster, self._scheduler, pinned, work=self._work, tell=tell, clock=clock)
        self._desks, self._names = self._attendance.desks, self._attendance.names
        self._in_doubt = self._attendance.in_doubt
        self._fixed: set[str] = set()
        self._errors: dict[str, JoulefleetError] = {}
        self._stopping = False
        self._account = Account(self._scheduler, self._design, self._names, tell)
        self._waiting = Waiting(
            self._patience,
            longest_s=pinned.study.measure.timeout_s + SLACK_S,
            monotonic=monotonic,
            tell=tell,
        )

    def run(self) -> CampaignResult:
        """Run it. Raises JoulefleetError where it cannot go on; everything finished is in the store by then."""
        while True:
            for change in self._cluster.changes():
                if self._attendance.changed(change):
                    self._waiting.over()
            self._attendance.record(self._store)
            self._stopping = self._stopping or self._stop()
            for desk in list(self._desks.values()):
                if desk.call is None:
                    self._hand_out(desk)
            if self._over():
                break
            for answer in self._cluster.answers(LOOK_S):
                self._answered(answer)
            self._end_the_overdue()
        return self._ended()

    # what an idle agent does next

    def _hand_out(self, desk: Desk) -> None:
        if desk.to_fetch:
            self._start(desk, Fetch(attempt_id=desk.to_fetch.popleft()))
            return
        self._settle_doubt(desk)
        acknowledged, desk.unacknowledged = tuple(desk.unacknowledged), []
        trial = None if self._stopping else self._next_trial(desk)
        if trial is not None:
            self._start(desk, Run(trial=trial, acknowledged=acknowledged), trial=trial)
        elif acknowledged:
            self._start(desk, Acknowledge(attempt_ids=acknowledged))
        elif desk.to_prepare and not self._stopping and not self._at_rest(desk):
            self._prepare(desk)

    def _next_trial(self, desk: Desk) -> Trial | None:
        if desk.to_prepare:
            return None
        while True:
            found = self._scheduler.next(desk.machine_id, self._clock())
            self._fix_plan(desk)
            if isinstance(found, Rest):
                if found.why == "finished" and not desk.done:
                    desk.done = True
                    self._tell(MachineDone(machine=desk.name))
                return None
            desk.done = False
            trial = self._scheduler.trial(found)
            if found.hopeless:
                self._give_up(desk, trial)
            elif (data := self._store.find(trial.attempt_id)) is not None:
                # A coordinator that was superseded has committed it since the store was read.
                self._note(desk, fact_of(data), trial)
            else:
                self._account.started(desk, found, trial)
                return trial

    def _fix_plan(self, desk: Desk) -> None:
        """Once the pilots have said how long the windows are: keep by which protocols the place measures."""
        place = self._scheduler.places[self._scheduler.members[desk.machine_id].place]
        if place.passes is None or place.name in self._fixed:
            return
        self._fixed.add(place.name)
        protocols = [place.digest(cell) for cell in range(len(self._design.cells))]
        self._store.record_plan(self._pinned.study.name, place.name, protocols)
        self._account.plan_fixed(place)

    def _at_rest(self, desk: Desk) -> bool:
        """Whether nothing is to be prepared: the machine was set aside, its whole part is done, or it is busy.

        To ask again and again would disturb the window of whoever measures there.
        """
        if self._scheduler.is_busy(desk.machine_id, self._clock()):
            return True
        member = self._scheduler.members[desk.machine_id]
        return member.set_aside is not None or self._scheduler.places[member.place].finished()

    def _prepare(self, desk: Desk) -> None:
        name, model, task = desk.to_prepare[0]
        number = len(self._work) - len(desk.to_prepare) + 1
        self._tell(Preparing(machine=desk.name, what=name, number=number, total=len(self._work)))
        self._start(desk, Prepare(work=((model, task),)))

    def _start(self, desk: Desk, call: Call, *, trial: Trial | None = None) -> None:
        desk.call, desk.trial = call, trial
        # What is prepared may have to be downloaded first: nobody knows how long that takes.
        longest_s = None if isinstance(call, Prepare) else SLACK_S if trial is None else SLACK_S + longest_of(trial)
        desk.due_s = None if longest_s is None else self._monotonic() + longest_s
        self._cluster.start(desk.node, call)

    # what came of it

    def _answered(self, answer: CallResult) -> None:
        desk = self._desks.get(answer.node)
        if desk is None or desk.call is not answer.call:
            return
        if answer.lost is not None:
            self._attendance.away(answer.node, answer.lost)
            return
        trial = desk.trial
        desk.call, desk.trial, desk.due_s = None, None, None
        if answer.error is not None:
            self._failed_to(desk, answer.error)
            return
        match answer.call:
            case Prepare():
                desk.to_prepare.popleft()
            case Run() if answer.data is not None and trial is not None:
                self._keep(desk, trial.attempt_id, answer.data, trial)
            case Fetch(attempt_id=attempt_id) if answer.data is not None:
                self._keep(desk, attempt_id, answer.data, None)
            case _:
                pass

    def _failed_to(self, desk: Desk, error: JoulefleetError) -> None:
        """The agent could not even begin."""
        if isinstance(error, SupersededError):
            self._cluster.abandon()
            raise error
        if isinstance(error, BusyError):
            self._scheduler.busy(desk.machine_id, self._clock())
            self._tell(MachineBusy(machine=desk.name, message=str(error)))
            return
        self._errors[desk.machine_id] = error
        self._scheduler.set_aside(desk.machine_id, str(error))
        self._tell(MachineSetAside(machine=desk.name, why=str(error)))

    def _keep(self, desk: Desk, attempt_id: str, data: bytes, trial: Trial | None) -> None:
        study, fact = study_and_fact(data)
        self._commit(attempt_id, data)
        desk.unacknowledged.append(attempt_id)
        if study != self._pinned.study.name:
            # An earlier run's, of another study of this store: kept, and none of this one's business.
            self._tell(Collected(machine=desk.name, attempt_id=attempt_id))
            return
        # By this clock, as the machine's own may be hours off; of an earlier run there is no other than the machine's.
        ended_s = self._clock() if trial is not None else min(fact.ended_s, self._clock())
        doubted, since_s = self._in_doubt.get(desk.machine_id, (None, 0.0))
        if trial is None and doubted is not None and doubted.attempt_id == attempt_id:
            # It ended about when its agent was lost, however much later that has come back.
            del self._in_doubt[desk.machine_id]
            trial, ended_s = doubted, since_s
        self._note(desk, replace(fact, ended_s=ended_s), trial)

    def _note(self, desk: Desk, fact: AttemptFact, trial: Trial | None) -> None:
        self._scheduler.ended(fact, machine_id=desk.machine_id)
        if trial is None:
            self._tell(Collected(machine=desk.name, attempt_id=fact.attempt_id))
            return
        self._account.ended(desk, trial, fact)

    def _commit(self, attempt_id: str, data: bytes) -> None:
        """Into the store; where it cannot be written just now, again for a while. Raises StoreError."""
        ends = self._monotonic() + self._patience.store_s
        told = False
        while True:
            try:
                self._store.commit(attempt_id, data)
            except StoreError as error:
                if self._monotonic() >= ends or self._stop():
                    raise
                if not told:
                    self._tell(Stalled(message=f"{error} Trying again for {self._patience.store_s:.0f} s."))
                    told = True
                self._sleep(LOOK_S)
            else:
                return

    def _settle_doubt(self, desk: Desk) -> None:
        """The agent is back and has handed over all it holds: a trial that was not among it did not end."""
        trial, _ = self._in_doubt.pop(desk.machine_id, (None, 0.0))
        if trial is None:
            return
        gone = self._scheduler.lost(desk.machine_id)
        member = self._scheduler.members[desk.machine_id]
        if gone is None:
            self._tell(TrialLost(machine=desk.name, trial=trial))
        else:
            # An attempt of its own: the one that was lost may still end somewhere, and its row must not meet this one.
            self._give_up(desk, replace(trial, attempt=trial.attempt + 1))
        if member.set_aside is not None:
            self._tell(MachineSetAside(machine=desk.name, why=member.set_aside))

    def _give_up(self, desk: Desk, trial: Trial) -> None:
        """The trial has failed, as its agent was lost every time; the coordinator writes its row."""
        data = row_of_lost(trial, desk.hello, now_s=self._clock())
        self._commit(trial.attempt_id, data)
        self._note(desk, fact_of(data), trial)

    def _end_the_overdue(self) -> None:
        now = self._monotonic()
        for desk in self._desks.values():
            if desk.due_s is not None and now > desk.due_s:
                desk.due_s = None
                self._tell(Stalled(message=f"{desk.name} has not answered in time: its agent is ended."))
                self._cluster.restart(desk.node)

    # when it is over

    def _over(self) -> bool:
        if any(desk.call is not None for desk in self._desks.values()):
            self._waiting.over()
            return False
        if self._stopping:
            return True
        members = self._scheduler.members
        here = {desk.machine_id for desk in self._desks.values()}
        able = [members[machine_id] for machine_id in here if members[machine_id].set_aside is None]
        if any(self._waits(member.machine_id) for member in able):
            return False
        awaited = self._awaited.names(members)
        if self._scheduler.finished() and not awaited and not self._cluster.expecting():
            return True
        absent = [*(self._names[machine_id] for machine_id in members if machine_id not in here), *awaited]
        if not self._waiting.enough(anybody=bool(members), absent=absent, expecting=self._cluster.expecting()):
            return False
        if not able and not absent:
            raise self._cannot_go_on()
        return True

    def _waits(self, machine_id: str) -> bool:
        """Whether the machine, which does nothing now, will do something yet."""
        found = self._scheduler.next(machine_id, self._clock())
        if isinstance(found, Assignment):
            self._scheduler.release(machine_id)
            return True
        return found.why in ("busy", "pilots")

    def _cannot_go_on(self) -> JoulefleetError:
        """Every machine that takes part is here and was set aside."""
        if len(self._scheduler.members) == len(self._errors) == 1:
            # With one machine, its error is the run's.
            return next(iter(self._errors.values()))
        reasons = [f"{self._names[m.machine_id]}: {m.set_aside}" for m in self._scheduler.members.values()]
        return MachineError(reasons, cure="Nothing is lost: mend this and run again.")

    def _ended(self) -> CampaignResult:
        tallies = [place.tally() for place in self._scheduler.places.values()]
        return CampaignResult(
            total=sum(place.planned for place in self._scheduler.places.values()),
            ok=sum(tally.ok for tally in tallies),
            failed=sum(tally.failed for tally in tallies),
            stopped=self._stopping,
            absent=self._named(lambda member: not member.present),
            not_back=tuple(self._awaited.names(self._scheduler.members)),
            set_aside=self._named(lambda member: member.present and member.set_aside is not None),
        )

    def _named(self, which: Callable[[Member], bool]) -> tuple[str, ...]:
        return tuple(self._names[member.machine_id] for member in self._scheduler.members.values() if which(member))

    def measures_here(self, boot_id: str | None) -> bool:
        """Whether a trial is under way on the machine of this boot."""
        return any(desk.trial is not None and desk.hello.boot_id == boot_id for desk in self._desks.values())
