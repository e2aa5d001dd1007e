"""An agent as its coordinator sees it: prepare, run, and hand over what is finished."""

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
    """What an agent says when it is asked to work for a store."""

    machine: Machine
    boot_id: str | None
    host: str
    """The host's own name, for people."""
    pid: int
    versions: Mapping[str, str]
    """What has to agree with the coordinator, and what is good to know: name to version."""
    waiting: tuple[str, ...]
    """The finished attempts of the store that it holds."""
    offers: tuple[Offer, ...]
    """The environments that it can have work done in."""
    not_offered: tuple[str, ...] = ()
    """Why runners that it found cannot be used."""
    clock_s: float
    """Its time of day, seconds since 1970."""


def versions() -> dict[str, str]:
    """The versions of this installation; `protocol` and `schema` are those of the trials and their rows."""
    own = {"joulefleet": joulefleet.__version__, "protocol": str(PROTOCOL_VERSION), "schema": str(SCHEMA_VERSION)}
    return own | dict(read_libraries())


LEASE_S = 60.0
"""For so long after its last call a coordinator has the agent for itself: another one's trials wait."""


class AgentService:
    """One machine's agent. Its methods are called one at a time, from one thread."""

    def __init__(self, setup: AgentSetup | None = None, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._setup = setup or AgentSetup()
        self._monotonic = monotonic
        self._commander: tuple[str, int, float] | None = None
        """Who called last: a store and an epoch of it; and when."""
        self._pool = RunnerPool(own=self._setup.environment, folder=self._setup.runners)
        self._epochs = Epochs(self._setup.state)

    def hello(self, store_id: str, epoch: int) -> AgentHello:
        """Who this is, and what it holds of a store.

        Raises MachineError without an identity or in a container that hides it, BusyError while the
        coordinator of another store commands it, SupersededError.
        """
        machine = self.machine()
        if self._setup.in_fleet:
            self._check_sharing()
        found = tuple(
            offers(
                self._setup.runners,
                own=self._setup.environment,
                cache=self._setup.cache,
                sysfs_root=self._setup.sysfs_root,
                proc_root=self._setup.proc_root,
            )
        )
        with self.commanded(store_id, epoch), self._keeping():
            waiting = tuple(self._outbox(store_id).waiting())
        return AgentHello(
            machine=machine,
            boot_id=boot_id(self._setup.proc_root),
            host=platform.node(),
            pid=os.getpid(),
            versions=versions(),
            waiting=waiting,
            offers=tuple(offer for offer in found if isinstance(offer, Offer)),
            not_offered=tuple(why for why in found if isinstance(why, str)),
            clock_s=time.time(),
        )

    def machine(self) -> Machine:
        """Who this machine is. Raises MachineError where it has no identity."""
        return read_machine(self._setup.sysfs_root, self._setup.proc_root)

    def prepare(self, work: Sequence[tuple[ResolvedModel, ResolvedTask]]) -> None:
        """Get weights and items ready. Raises StudyError or MachineError with what is missing."""
        for model, task in work:
            prepare(model, task, self._setup, self._pool)

    def measured_row(self, trial: Trial, *, epoch: int | None = None) -> dict[str, Any]:
        """Measure `trial`; its row, stored nowhere yet. Raises MachineError."""
        machine = self.machine()
        outcome = measure(trial, self._setup, self._pool, epoch=epoch)
        # With it comes Arrow: not while a window is open.
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
        """What was found where its work runs; None where its runner has gone meanwhile."""
        label = trial.cell.environment
        if label == self._setup.environment:
            return read_environment(self._setup.sysfs_root, self._setup.proc_root)
        return environment_of_runner(self._setup.runners, label)

    def _check_sharing(self) -> None:
        findings = list(findings_of_sharing(self._setup.proc_root))
        if findings:
            raise MachineError(
                [f"{finding.message}. {finding.advice}" for finding in findings],
                cure=f"`joulefleet doctor` says it there too. Where this is no container, say so: {LABEL}={BARE}.",
            )

    def run(self, trial: Trial, epoch: int) -> bytes:
        """Measure `trial`; its row as a Parquet file, which is then durable in the outbox.

        An attempt that is in the outbox already is not measured again. Raises BusyError, MachineError,
        SupersededError.
        """
        outbox = self._outbox(trial.store_id)
        with self.commanded(trial.store_id, epoch):
            with self._keeping():
                if trial.attempt_id in outbox.waiting():
                    return outbox.get(trial.attempt_id)
            # A long window's row has megabytes: it is let go before its table is written.
            table = arrow_table(self.measured_row(trial, epoch=epoch))
            with self._keeping():
                return outbox.put(trial.attempt_id, table)

    def fetch(self, store_id: str, attempt_id: str, epoch: int) -> bytes:
        """A finished attempt, as a Parquet file. Raises BusyError, MachineError, SupersededError."""
        with self.commanded(store_id, epoch), self._keeping():
            return self._outbox(store_id).get(attempt_id)

    def acknowledge(self, store_id: str, attempt_ids: Sequence[str], epoch: int) -> None:
        """The store has them durably: the outbox lets them go. Raises as `fetch`."""
        with self.commanded(store_id, epoch), self._keeping():
            for attempt_id in attempt_ids:
                self._outbox(store_id).acknowledge(attempt_id)

    def commanded_by(self, store_id: str, epoch: int) -> bool:
        """Whether no other coordinator has called since that one did."""
        return self._commander is None or self._commander[:2] == (store_id, epoch)

    def close(self) -> None:
        """End what the agent keeps running."""
        self._pool.discard()

    @contextmanager
    def commanded(self, store_id: str, epoch: int) -> Iterator[None]:
        """During a call: the coordinator of `store_id` commands. Raises BusyError where that of another store does.

        Raises SupersededError, and MachineError where the epoch cannot be kept.
        """
        store, _, last_s = self._commander or (store_id, epoch, 0.0)
        if store != store_id and self._monotonic() - last_s < LEASE_S:
            raise BusyError(
                f"this machine is busy: the coordinator of another store ({store}) commands its agent.",
                cure="Wait until that run has ended, or run both studies into one store, one after the other.",
            )
        with self._keeping():
            self._epochs.obey(store_id, epoch)
        try:
            yield
        finally:
            self._commander = (store_id, epoch, self._monotonic())

    @contextmanager
    def _keeping(self) -> Iterator[None]:
        """Whatever the disk of the state folder refuses has a cure, and is this machine's matter alone."""
        try:
            yield
        except OSError as error:
            raise MachineError(
                f"{self._setup.state}: nothing can be kept there ({error.strerror}).",
                cure="Make room or give rights there, or name another folder in $JOULEFLEET_STATE, and run again.",
            ) from error

    def _outbox(self, store_id: str) -> Outbox:
        return Outbox(self._setup.state / "outbox", store_id)
