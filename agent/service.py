"""The agent as its coordinator uses it: it prepares and runs trials, and hands over finished attempts."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import joulefleet
from agent.config import AgentSetup
from agent.doctor.container import findings_of_sharing
from agent.host.environment import LABEL, read_environment, read_libraries
from agent.host.machine import boot_id, read_machine
from agent.runner.discovery import Offer, environment_of_runner, offers
from agent.runner.pool import RunnerPool
from agent.state.epochs import Epochs
from agent.state.outbox import Outbox, arrow_table
from agent.trial.measure import measure, prepare
from joulefleet.errors import BusyError, MachineError
from joulefleet.machine import BARE, Environment, Machine
from joulefleet.plan.trial import ResolvedModel, ResolvedTask, Trial
from joulefleet.versions import PROTOCOL_VERSION, SCHEMA_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentHello:
    """What an agent reports about itself when a coordinator connects."""

    machine: Machine
    boot_id: str | None
    hostname: str
    """The machine's name on the network."""
    pid: int
    versions: Mapping[str, str]
    """Version by name: of joulefleet, protocol and schema, which must equal the coordinator's, and of libraries."""
    waiting: tuple[str, ...]
    """Ids of the finished attempts of the store that are in its outbox."""
    offers: tuple[Offer, ...]
    """Environments in which it can run trials."""
    not_offered: tuple[str, ...] = ()
    """Reasons why runners on this host cannot be used."""
    clock_s: float
    """Its wall-clock time, seconds since 1970."""


def versions() -> dict[str, str]:
    """Return the versions of this installation; `protocol` and `schema` are those of the trials and their rows."""
    own = {"joulefleet": joulefleet.__version__, "protocol": str(PROTOCOL_VERSION), "schema": str(SCHEMA_VERSION)}
    return own | dict(read_libraries())


LEASE_S = 60.0
"""Time after a coordinator's last call in which the coordinator of another store is refused, seconds."""


class AgentService:
    """One machine's agent.

    Its process owns it: the Ray actor, the local cluster, or `python -m agent`. All methods are called from one
    thread, one at a time. A coordinator calls `hello` first, then `prepare`, and `run` for each trial; after it
    has stored the returned row durably it calls `acknowledge`. `fetch` returns an attempt that `hello` listed
    as waiting. `close` comes last. Every call that names an epoch raises SupersededError where a newer
    coordinator of the same store has called, BusyError while the coordinator of another store does, and
    MachineError where the state folder cannot be used. A trial that fails is a row, not an exception.
    """

    def __init__(self, setup: AgentSetup | None = None, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._setup = setup or AgentSetup()
        self._monotonic = monotonic
        self._commander: tuple[str, int, float] | None = None
        """Store and epoch of the coordinator that called last, and the time of that call, seconds."""
        self._pool = RunnerPool(own=self._setup.environment, folder=self._setup.runners)
        self._epochs = Epochs(self._setup.state)

    def hello(self, store_id: str, epoch: int) -> AgentHello:
        """Return what this agent is, and which attempts of the store it holds.

        Raises MachineError where the machine has no identity or a container hides it, and as every call does.
        """
        machine = self.machine()
        if self._setup.in_fleet:
            self._check_sharing()
        environments = tuple(
            offers(
                self._setup.runners,
                own=self._setup.environment,
                cache=self._setup.cache,
                sysfs_root=self._setup.sysfs_root,
                proc_root=self._setup.proc_root,
            )
        )
        with self.commanded(store_id, epoch), self._state_errors():
            waiting = tuple(self._outbox(store_id).waiting())
        return AgentHello(
            machine=machine,
            boot_id=boot_id(self._setup.proc_root),
            hostname=platform.node(),
            pid=os.getpid(),
            versions=versions(),
            waiting=waiting,
            offers=tuple(offer for offer in environments if isinstance(offer, Offer)),
            not_offered=tuple(why for why in environments if isinstance(why, str)),
            clock_s=time.time(),
        )

    def machine(self) -> Machine:
        """Return the record of this machine. Raises MachineError where it has no identity."""
        return read_machine(self._setup.sysfs_root, self._setup.proc_root)

    def prepare(self, work: Sequence[tuple[ResolvedModel, ResolvedTask]]) -> None:
        """Write or fetch weights and items. Raises StudyError or MachineError with what is missing."""
        for model, task in work:
            prepare(model, task, self._setup, self._pool)

    def measured_row(self, trial: Trial, *, epoch: int | None = None) -> dict[str, Any]:
        """Measure `trial` and return its row, which is not stored yet. Raises BusyError and MachineError."""
        machine = self.machine()
        outcome = measure(trial, self._setup, self._pool, epoch=epoch)
        # It imports Arrow: not before the window has ended.
        from agent.results.row import attempt_row

        return attempt_row(
            trial,
            outcome,
            machine=machine,
            environment=self._environment_of(trial),
            boot_id=boot_id(self._setup.proc_root),
            sysfs_root=self._setup.sysfs_root,
        )

    def _environment_of(self, trial: Trial) -> Environment | None:
        """Return the record of the environment of the trial's work; None where its runner has ended meanwhile."""
        label = trial.cell.environment
        if label == self._setup.environment:
            return read_environment(self._setup.sysfs_root, self._setup.proc_root)
        return environment_of_runner(self._setup.runners, label)

    def _check_sharing(self) -> None:
        findings = list(findings_of_sharing(self._setup.proc_root))
        if findings:
            raise MachineError(
                [f"{finding.message}. {finding.advice}" for finding in findings],
                cure=f"`joulefleet doctor` reports it there too. If this is no container, set {LABEL}={BARE}.",
            )

    def run(self, trial: Trial, epoch: int) -> bytes:
        """Measure `trial`, and return its row as a Parquet file, which is durable in the outbox.

        An attempt that is in the outbox already is not measured again. Raises BusyError, MachineError and
        SupersededError.
        """
        outbox = self._outbox(trial.store_id)
        with self.commanded(trial.store_id, epoch):
            with self._state_errors():
                if trial.attempt_id in outbox.waiting():
                    return outbox.get(trial.attempt_id)
            # The row of a long window has megabytes: it is freed before its table is written.
            table = arrow_table(self.measured_row(trial, epoch=epoch))
            with self._state_errors():
                return outbox.put(trial.attempt_id, table)

    def fetch(self, store_id: str, attempt_id: str, epoch: int) -> bytes:
        """Return a finished attempt as a Parquet file. Raises as every call does."""
        with self.commanded(store_id, epoch), self._state_errors():
            return self._outbox(store_id).get(attempt_id)

    def acknowledge(self, store_id: str, attempt_ids: Sequence[str], epoch: int) -> None:
        """Remove attempts from the outbox that the store holds durably. Raises as every call does."""
        with self.commanded(store_id, epoch), self._state_errors():
            for attempt_id in attempt_ids:
                self._outbox(store_id).acknowledge(attempt_id)

    def commanded_by(self, store_id: str, epoch: int) -> bool:
        """Return whether no other coordinator has called after the one of `store_id` and `epoch`."""
        return self._commander is None or self._commander[:2] == (store_id, epoch)

    def close(self) -> None:
        """End the fork server that the agent keeps running."""
        self._pool.discard()

    @contextmanager
    def commanded(self, store_id: str, epoch: int) -> Iterator[None]:
        """Reserve the agent for the coordinator of `store_id` during a call, and for LEASE_S after it.

        Raises BusyError where the coordinator of another store has it, SupersededError for an old epoch, and
        MachineError where the epoch cannot be stored.
        """
        store, _, last_s = self._commander or (store_id, epoch, 0.0)
        if store != store_id and self._monotonic() - last_s < LEASE_S:
            raise BusyError(
                f"this machine is busy: the coordinator of another store ({store}) uses its agent.",
                cure="Wait until that run has ended, or run both studies into one store, one after the other.",
            )
        with self._state_errors():
            self._epochs.obey(store_id, epoch)
        try:
            yield
        finally:
            self._commander = (store_id, epoch, self._monotonic())

    @contextmanager
    def _state_errors(self) -> Iterator[None]:
        """Raise MachineError for an OSError of the state folder: it concerns this machine only, and has a cure."""
        try:
            yield
        except OSError as error:
            raise MachineError(
                f"{self._setup.state}: nothing can be stored there ({error.strerror}).",
                cure="Free space or grant rights there, or set $JOULEFLEET_STATE to another folder, and run again.",
            ) from error

    def _outbox(self, store_id: str) -> Outbox:
        return Outbox(self._setup.state / "outbox", store_id)
