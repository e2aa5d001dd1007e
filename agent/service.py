"""An agent as its coordinator sees it: prepare, run, and hand over what is finished."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agent.machine_record import boot_id, read_environment, read_machine
from agent.measure import measure, prepare
from agent.outbox import Outbox
from agent.row import attempt_row
from agent.runner.client import RunnerPool
from agent.setup import AgentSetup
from joulefleet.errors import MachineError
from joulefleet.machine import Machine
from joulefleet.trial import ResolvedModel, ResolvedTask, Trial


class AgentService:
    """One machine's agent. Its methods are called one at a time, from one thread."""

    def __init__(self, setup: AgentSetup | None = None) -> None:
        self._setup = setup or AgentSetup()
        self._pool = RunnerPool()

    def machine(self) -> Machine:
        """Who this machine is. Raises MachineError where it has no identity."""
        return read_machine(self._setup.sysfs_root, self._setup.proc_root)

    def prepare(self, work: Sequence[tuple[ResolvedModel, ResolvedTask]]) -> None:
        """Get weights and items ready. Raises StudyError or MachineError with what is missing."""
        for model, task in work:
            prepare(model, task, self._setup, self._pool)

    def measured_row(self, trial: Trial) -> dict[str, Any]:
        """Measure `trial`; its row, stored nowhere yet. Raises MachineError."""
        machine = self.machine()
        outcome = measure(trial, self._setup, self._pool)
        return attempt_row(
            trial,
            outcome,
            machine=machine,
            environment=read_environment(self._setup.sysfs_root, self._setup.proc_root),
            boot_id=boot_id(self._setup.proc_root),
            sysfs_root=self._setup.sysfs_root,
        )

    def run(self, trial: Trial) -> None:
        """Measure `trial`, and return once its row is durable in the outbox. Raises MachineError."""
        row = self.measured_row(trial)
        try:
            self._outbox(trial.store_id).put(trial.attempt_id, row)
        except OSError as error:
            raise MachineError(
                f"{self._setup.state}: the outcome cannot be kept ({error.strerror}).",
                cure="Make room or give rights there, or name another folder in $JOULEFLEET_STATE, and run again.",
            ) from error

    def waiting(self, store_id: str) -> list[str]:
        """The attempts of this store that are not yet acknowledged."""
        return self._outbox(store_id).waiting()

    def fetch(self, store_id: str, attempt_id: str) -> bytes:
        """One of them, as a Parquet file."""
        return self._outbox(store_id).get(attempt_id)

    def acknowledge(self, store_id: str, attempt_id: str) -> None:
        """The store has it durably: the outbox lets it go."""
        self._outbox(store_id).acknowledge(attempt_id)

    def close(self) -> None:
        """End what the agent keeps running."""
        self._pool.discard()

    def _outbox(self, store_id: str) -> Outbox:
        return Outbox(self._setup.state / "outbox", store_id)
