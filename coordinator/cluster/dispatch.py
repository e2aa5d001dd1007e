"""Calls of a coordinator, carried out by an agent."""

from __future__ import annotations

from agent.service import AgentService
from coordinator.cluster.interface import Acknowledge, Call, Command, Fetch, Prepare, Run


def dispatch(agent: AgentService, call: Call, command: Command) -> bytes | None:
    """Have `agent` do `call`; return the row's file where it has one. Raises JoulefleetError."""
    store_id, epoch = command.store_id, command.epoch
    match call:
        case Prepare(work=work):
            with agent.commanded(store_id, epoch):
                agent.prepare(work)
        case Run(trial=trial, acknowledged=acknowledged):
            if acknowledged:
                agent.acknowledge(store_id, acknowledged, epoch)
            return agent.run(trial, epoch)
        case Fetch(attempt_id=attempt_id):
            return agent.fetch(store_id, attempt_id, epoch)
        case Acknowledge(attempt_ids=attempt_ids):
            agent.acknowledge(store_id, attempt_ids, epoch)
    return None
