"""Attempts that have ended, reduced to the columns that decide what is still to do."""

from __future__ import annotations

from dataclasses import dataclass

from joulefleet.plan.trial import Cell

DETERMINISTIC = frozenset({"exception", "out_of_memory", "timeout", "weights_mismatch"})
"""Reasons of failures of the work itself, which would most likely repeat. All others are the infrastructure's."""

AGENT_LOST = "agent_lost"
"""Reason of a trial in which the agent was lost in every attempt; the coordinator writes its row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFact:
    """One attempt that has ended. `ended_s` is in seconds since 1970, the other times are durations in seconds."""

    trial_id: str
    attempt_id: str
    place: str
    machine_id: str
    boot_id: str | None
    kind: str
    block: int
    round: int
    attempt: int
    cell: Cell
    protocol: str
    status: str
    reason: str | None
    window_s: float | None
    passes: int
    wall_s: float
    ended_s: float
    flags: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it was measured."""
        return self.status == "ok"

    @property
    def pass_s(self) -> float | None:
        """Duration of one pass, seconds; None where nothing was measured."""
        return None if self.window_s is None else self.window_s / self.passes
