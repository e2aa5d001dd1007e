"""What is known of an attempt that has ended: the few columns that decide what is still to do."""

from __future__ import annotations

from dataclasses import dataclass

from joulefleet.plan.trial import Cell

DETERMINISTIC = frozenset({"exception", "out_of_memory", "timeout", "weights_mismatch"})
"""Failures of the work itself, which would most likely come again. All others are the infrastructure's."""

AGENT_LOST = "agent_lost"
"""The reason of a trial in which the agent was lost again and again; the coordinator writes its row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFact:
    """One attempt that has ended. Times are seconds since 1970."""

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
        """Seconds of one pass."""
        return None if self.window_s is None else self.window_s / self.passes
