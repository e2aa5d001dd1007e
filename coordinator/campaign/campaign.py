"""The control loop of a run: it lets a cluster measure the trials that a store lacks, and stores their rows.

A row is committed to the store before it is acknowledged, and acknowledged before its agent forgets it.
So whatever dies, the next run goes on from the store and from what the agents still hold.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from coordinator.campaign.agent_session import SLACK_S, AgentSession
from coordinator.campaign.lost_trial import row_of_lost
from coordinator.campaign.membership import Membership
from coordinator.campaign.reporter import Reporter
from coordinator.campaign.waiting import ExpectedMachines, Waiting, WaitLimits
from coordinator.cluster.interface import Acknowledge, Call, CallResult, Cluster, Fetch, Prepare, Run
from coordinator.events.events import (
    Collected,
    Event,
    MachineBusy,
    MachineDone,
    MachineSetAside,
    Stalled,
    TrialLost,
)
from coordinator.scheduling.attempt import AttemptFact
from coordinator.scheduling.scheduler import Assignment, Rest, Scheduler
from coordinator.store.attempts import fact_of, study_and_fact
from coordinator.store.port import CampaignStore
from joulefleet.errors import BusyError, JoulefleetError, StoreError, SupersededError
from joulefleet.plan.design import Design
from joulefleet.plan.expand import Pinned
from joulefleet.plan.trial import Trial

POLL_S = 1.0
"""Longest time between two looks for new machines and for Ctrl-C, seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignResult:
    """How a campaign ended: numbers of trials of the machines that took part, and machines that have more to do."""

    total: int
    ok: int
    failed: int
    stopped: bool
    """Whether `should_stop` ended it."""
    absent: tuple[str, ...] = ()
    """Names of machines that took part and have left."""
    not_back: tuple[str, ...] = ()
    """Names of machines of an earlier run that have trials left and did not come. Their trials are not counted."""
    set_aside: tuple[str, ...] = ()
    """Names of machines that are there and take no further part."""

    @property
    def missing(self) -> int:
        """Number of trials that were not measured."""
        return self.total - self.ok - self.failed


class Campaign:
    """Runs what a store lacks of a study, on the machines of a cluster.

    The scheduler chooses the trials, the cluster runs them, and the store keeps their rows. A campaign is made for
    one run, and `run` is called once; everything happens in the thread that calls it, the callbacks too. The
    cluster and the store belong to the caller, who closes them.

    - `on_event` is called for everything that happens.
    - `should_stop` is asked between trials: once it is True, trials that run are finished and no other begins.
    - `between_blocks` is called when a block begins and no trial runs on the machine of `boot_id`, the
      coordinator's own: work that would disturb a measurement there belongs here.
    - `retry` names what is tried again although it was given up, as in `Scheduler`.
    - `known` are machines of earlier runs, id to name: the run waits for those that have trials left.
    - `clock` gives seconds since 1970; `monotonic` and `sleep` are for time-outs, in seconds.
    """

    def __init__(
        self,
        cluster: Cluster,
        store: CampaignStore,
        pinned: Pinned,
        *,
        on_event: Callable[[Event], None],
        should_stop: Callable[[], bool],
        between_blocks: Callable[[], None] = lambda: None,
        boot_id: str | None = None,
        retry: frozenset[str] = frozenset(),
        known: Mapping[str, str] | None = None,
        limits: WaitLimits | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Read what `store` holds of the study. Raises StoreError."""
        self._cluster = cluster
        self._store = store
        self._pinned = pinned
        self._on_event = on_event
        self._should_stop = should_stop
        self._between_blocks, self._boot_id = between_blocks, boot_id
        self._limits = limits or WaitLimits()
        self._clock, self._monotonic, self._sleep = clock, monotonic, sleep
        design = Design(pinned, store_id=store.store_id)
        facts = list(store.attempts(pinned.study.name))
        self._scheduler = Scheduler(design, facts, retry=retry)
        self._expected = ExpectedMachines(known or {}, facts, design)
        self._membership = Membership(cluster, self._scheduler, pinned, on_event=on_event, clock=clock)
        self._reporter = Reporter(self._scheduler, on_event)
        longest_s = pinned.study.measure.timeout_s + SLACK_S
        self._waiting = Waiting(self._limits, longest_s=longest_s, monotonic=monotonic, on_event=on_event)
        self._fixed: set[str] = set()
        self._stopping = False

    def run(self) -> CampaignResult:
        """Run until nothing is left, nobody comes any more, or `should_stop`. What has ended is then in the store.

        Raises StoreError where the store cannot be written for a while, SupersededError where a newer coordinator
        commands the agents, and MachineError where no machine comes, the cluster is gone, or every machine was set
        aside; with a single machine, that machine's own error.
        """
        while True:
            for change in self._cluster.changes():
                if self._membership.apply(change):
                    self._waiting.reset()
            self._membership.record(self._store)
            self._stopping = self._stopping or self._should_stop()
            for session in self._membership.sessions:
                if session.call is None:
                    self._hand_out(session)
            if self._is_finished():
                return self._result()
            for answer in self._cluster.answers(POLL_S):
                self._answered(answer)
            self._restart_overdue()

    # What an idle agent does next.

    def _hand_out(self, session: AgentSession) -> None:
        """Send the agent its next call, if there is one."""
        fetch = session.next_fetch()
        if fetch is not None:
            self._send(session, fetch)
            return
        self._settle_lost_trial(session)
        acknowledged = session.take_acknowledgements()
        item = None if self._stopping else session.to_prepare
        assignment = None if self._stopping or item is not None else self._settle_assignments(session)
        if assignment is not None:
            trial = self._scheduler.trial(assignment)
            self._enter_block(session, assignment)
            self._reporter.trial_started(session, trial)
            self._send(session, Run(trial=trial, acknowledged=acknowledged), trial=trial)
        elif acknowledged:
            self._send(session, Acknowledge(attempt_ids=acknowledged))
        elif item is not None and self._has_use_for(session):
            name, model, task = item
            self._reporter.preparing(session, name)
            self._send(session, Prepare(work=((model, task),)))

    def _send(self, session: AgentSession, call: Call, *, trial: Trial | None = None) -> None:
        session.begin(call, now_s=self._monotonic(), trial=trial)
        self._cluster.start(session.node, call)

    def _settle_assignments(self, session: AgentSession) -> Assignment | None:
        """Write or take over the rows of assignments that need no agent; return the first one that does.

        None where the machine rests.
        """
        while True:
            assignment = self._scheduler.next(session.machine_id, self._clock())
            self._record_plan(session)
            if isinstance(assignment, Rest):
                if assignment.why == "finished" and session.set_done(True):
                    self._on_event(MachineDone(machine=session.name))
                return None
            session.set_done(False)
            trial = self._scheduler.trial(assignment)
            if assignment.hopeless:
                self._give_up(session, trial)
            elif (data := self._store.find(trial.attempt_id)) is not None:
                # A coordinator that was superseded has committed it since the store was read.
                self._note(session, fact_of(data), trial)
            else:
                return assignment

    def _enter_block(self, session: AgentSession, assignment: Assignment) -> None:
        if assignment.kind == "trial" and session.enter_block(assignment.block, assignment.round):
            self._reporter.block_started(session, assignment)
            running = (other.hello.boot_id for other in self._membership.sessions if other.trial is not None)
            if self._boot_id not in running:
                self._between_blocks()

    def _record_plan(self, session: AgentSession) -> None:
        """Record by which protocols the session's place measures, once its pilots have fixed the passes."""
        place = self._scheduler.places[self._scheduler.members[session.machine_id].place]
        if place.passes is None or place.name in self._fixed:
            return
        self._fixed.add(place.name)
        protocols = [place.digest(cell) for cell in range(len(self._scheduler.design.cells))]
        self._store.record_plan(self._pinned.study.name, place.name, protocols)
        self._reporter.plan_fixed(place, name=self._membership.name(place.name))

    def _has_use_for(self, session: AgentSession) -> bool:
        """Tell whether the machine is worth preparing now: it is free, and may have trials to run.

        A machine on which somebody else measures is left alone: each call would disturb that measurement.
        """
        member = self._scheduler.members[session.machine_id]
        if member.set_aside is not None or self._scheduler.is_busy(session.machine_id, self._clock()):
            return False
        return not self._scheduler.places[member.place].finished()

    # What became of a call.

    def _answered(self, answer: CallResult) -> None:
        session = self._membership.session(answer.node)
        if session is None or session.call is not answer.call:
            return
        if answer.lost is not None:
            self._membership.lose(answer.node, answer.lost)
            return
        trial = session.end_call()
        if answer.error is not None:
            self._refused(session, answer.error)
            return
        match answer.call:
            case Prepare():
                session.note_prepared()
            case Run() if answer.data is not None and trial is not None:
                self._keep(session, trial.attempt_id, answer.data, trial)
            case Fetch(attempt_id=attempt_id) if answer.data is not None:
                self._keep(session, attempt_id, answer.data, None)

    def _refused(self, session: AgentSession, error: JoulefleetError) -> None:
        """React to an agent that could not do a call at all. Raises SupersededError."""
        if isinstance(error, SupersededError):
            self._cluster.abandon()
            raise error
        if isinstance(error, BusyError):
            self._scheduler.busy(session.machine_id, self._clock())
            self._on_event(MachineBusy(machine=session.name, message=str(error)))
            return
        self._membership.set_aside(session, error)

    def _keep(self, session: AgentSession, attempt_id: str, data: bytes, trial: Trial | None) -> None:
        """Commit a row that an agent has sent: of `trial`, or where that is None, of an earlier run or session."""
        study, fact = study_and_fact(data)
        self._commit(attempt_id, data)
        session.committed(attempt_id)
        if study != self._pinned.study.name:
            self._on_event(Collected(machine=session.name, attempt_id=attempt_id))
            return
        # The machine's own clock may be hours ahead. For a trial of an earlier run there is no other.
        ended_s = self._clock() if trial is not None else min(fact.ended_s, self._clock())
        lost = None if trial is not None else self._membership.take_unresolved(session.machine_id, attempt_id)
        if lost is not None:
            # It ended about when its agent was lost, however much later the machine came back.
            trial, ended_s = lost
        self._note(session, replace(fact, ended_s=ended_s), trial)

    def _note(self, session: AgentSession, fact: AttemptFact, trial: Trial | None) -> None:
        """Tell the scheduler of an attempt that is in the store, and report it."""
        self._scheduler.ended(fact, machine_id=session.machine_id)
        if trial is None:
            self._on_event(Collected(machine=session.name, attempt_id=fact.attempt_id))
        else:
            self._reporter.trial_ended(session, trial, fact)

    def _commit(self, attempt_id: str, data: bytes) -> None:
        """Write a row to the store, again and again for a while where that fails. Raises StoreError."""
        ends_s = self._monotonic() + self._limits.store_s
        reported = False
        while True:
            try:
                self._store.commit(attempt_id, data)
            except StoreError as error:
                if self._monotonic() >= ends_s or self._should_stop():
                    raise
                if not reported:
                    self._on_event(Stalled(message=f"{error} Trying again for {self._limits.store_s:.0f} s."))
                    reported = True
                self._sleep(POLL_S)
            else:
                return

    def _settle_lost_trial(self, session: AgentSession) -> None:
        """Count a loss where the agent is back without a row of the trial during which it was lost."""
        lost = self._membership.take_unresolved(session.machine_id)
        if lost is None:
            return
        trial, _ = lost
        if self._scheduler.lost(session.machine_id) is None:
            self._on_event(TrialLost(machine=session.name, trial=trial))
        else:
            # The row gets the next attempt number: the lost attempt may still end and send a row of its own.
            self._give_up(session, replace(trial, attempt=trial.attempt + 1))
        member = self._scheduler.members[session.machine_id]
        if member.set_aside is not None:
            self._on_event(MachineSetAside(machine=session.name, why=member.set_aside))

    def _give_up(self, session: AgentSession, trial: Trial) -> None:
        """Commit a row that says that the agent was lost in every attempt at `trial`."""
        data = row_of_lost(trial, session.hello, now_s=self._clock())
        self._commit(trial.attempt_id, data)
        self._note(session, fact_of(data), trial)

    def _restart_overdue(self) -> None:
        now_s = self._monotonic()
        for session in self._membership.sessions:
            if session.is_overdue(now_s):
                self._on_event(Stalled(message=f"{session.name} has not answered in time: its agent is ended."))
                self._cluster.restart(session.node)

    # The end.

    def _is_finished(self) -> bool:
        """Tell whether nothing is left to run or to wait for. Raises MachineError where no machine can go on."""
        if any(session.call is not None for session in self._membership.sessions):
            self._waiting.reset()
            return False
        if self._stopping:
            return True
        members, now_s = self._scheduler.members, self._clock()
        able = [member for member in members.values() if member.present and member.set_aside is None]
        if any(self._scheduler.expects_work(member.machine_id, now_s) for member in able):
            return False
        not_back, expecting = self._expected.missing(members), self._cluster.expecting()
        if self._scheduler.finished() and not not_back and not expecting:
            return True
        absent = [*self._membership.names(lambda member: not member.present), *not_back]
        if not self._waiting.has_expired(has_members=bool(members), absent=absent, expecting=expecting):
            return False
        if not able and not absent:
            raise self._membership.all_set_aside()
        return True

    def _result(self) -> CampaignResult:
        places = self._scheduler.places.values()
        return CampaignResult(
            total=sum(place.planned for place in places),
            ok=sum(place.tally().ok for place in places),
            failed=sum(place.tally().failed for place in places),
            stopped=self._stopping,
            absent=self._membership.names(lambda member: not member.present),
            not_back=tuple(self._expected.missing(self._scheduler.members)),
            set_aside=self._membership.names(lambda member: member.present and member.set_aside is not None),
        )
