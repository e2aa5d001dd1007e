"""Outcomes of simulated trials: as a whole row, or as the few values that a coordinator reads of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from agent.results.row import trial_columns
from agent.service import AgentHello
from coordinator.scheduling.attempt import AGENT_LOST, AttemptFact
from coordinator.store.attempts import study_and_fact
from joulefleet.plan.trial import Cell, Trial
from tests.support.attempt_rows import attempt_row


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedOutcome:
    """The outcome of `trial`, with passes of about half a second; failed where there is a `reason`."""

    trial: Trial
    machine_id: str
    boot_id: str | None
    started_s: float
    wall_s: float
    reason: str | None

    @property
    def window_s(self) -> float | None:
        """Length of the window, seconds. It differs between machines, so their pilots do not agree on the passes."""
        if self.reason is not None:
            return None
        trial = self.trial
        return trial.protocol.passes * (0.3 + 0.1 * len(trial.cell.model) / (1 + sum(self.machine_id.encode()) % 3))

    def row(self) -> dict[str, Any]:
        """Return its row in a store."""
        trial = self.trial
        return attempt_row(
            **trial_columns(trial),
            machine_id=self.machine_id,
            machine=self.machine_id,
            boot_id=self.boot_id,
            started_at=datetime.fromtimestamp(self.started_s, tz=UTC),
            wall_s=self.wall_s,
            status="ok" if self.reason is None else "failed",
            reason=self.reason,
            window_s=self.window_s,
        )

    def fact(self) -> AttemptFact:
        """Return what a coordinator reads of that row."""
        trial = self.trial
        return AttemptFact(
            trial_id=trial.trial_id,
            attempt_id=trial.attempt_id,
            place=trial.place,
            machine_id=self.machine_id,
            boot_id=self.boot_id,
            kind=trial.kind,
            block=trial.block,
            round=trial.round,
            attempt=trial.attempt,
            cell=trial.cell,
            protocol=trial.protocol.digest,
            status="ok" if self.reason is None else "failed",
            reason=self.reason,
            window_s=self.window_s,
            passes=trial.protocol.passes,
            wall_s=self.wall_s,
            ended_s=self.started_s + self.wall_s,
        )


def lost_in_memory(trial: Trial, hello: AgentHello, *, now_s: float) -> bytes:
    """Replace `row_of_lost`, whose 150 columns take ten milliseconds to write."""
    made = SimulatedOutcome(
        trial=trial,
        machine_id=hello.machine.machine_id,
        boot_id=hello.boot_id,
        started_s=now_s,
        wall_s=0.0,
        reason=AGENT_LOST,
    )
    return memory_file(made)


def memory_file(made: SimulatedOutcome) -> bytes:
    """Return an outcome as a file for stores in memory: Parquet takes fifty times as long to write and to read."""
    return json.dumps([made.trial.study, asdict(made.fact())]).encode()


def fact_in(data: bytes) -> AttemptFact:
    """Return the attempt in a file from `memory_file` or of Parquet."""
    return study_and_fact_in(data)[1]


@lru_cache(maxsize=1000)
def study_and_fact_in(data: bytes) -> tuple[str, AttemptFact]:
    """Return the study and the attempt in such a file."""
    if not data.startswith(b"["):
        return study_and_fact(data)
    study, known = json.loads(data)
    return study, AttemptFact(**known | {"cell": Cell(**known["cell"]), "flags": tuple(known["flags"])})
