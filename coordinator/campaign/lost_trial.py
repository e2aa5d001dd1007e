"""The row of a trial whose agent was lost in every attempt."""

from __future__ import annotations

from agent.results.row import attempt_row
from agent.service import AgentHello
from agent.state.outbox import parquet_bytes
from joulefleet.measurement import Failure
from joulefleet.plan.trial import Trial


def row_of_lost(trial: Trial, hello: AgentHello, *, now_s: float) -> bytes:
    """Return the row as a Parquet file. `hello` is the agent's last one; `now_s` is in seconds since 1970."""
    message = "the agent was lost in every attempt at this trial"
    failure = Failure(
        reason="agent_lost", message=message, stderr_tail="", started_at_ns=round(now_s * 1e9), wall_s=0.0
    )
    row = attempt_row(trial, failure, machine=hello.machine, environment=None, boot_id=hello.boot_id, sysfs_root=None)
    return parquet_bytes(row)
