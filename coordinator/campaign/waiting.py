"""How long a run waits for machines when all that are there have nothing to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from coordinator.events.events import Event, Stalled
from joulefleet.errors import MachineError


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for what may come back, seconds."""

    first_machine_s: float = 60.0
    absent_machines_s: float = 120.0
    """When all that is there is done."""
    store_s: float = 60.0


NOTICE_S = 10.0
"""An agent that has just been started says who it is within some seconds."""


class Waiting:
    """Counts from the moment at which nobody does anything. `longest_s`: a trial may take so long."""

    def __init__(
        self, patience: Patience, *, longest_s: float, monotonic: Callable[[], float], tell: Callable[[Event], None]
    ) -> None:
        self._patience = patience
        self._longest_s = longest_s
        self._monotonic = monotonic
        self._tell = tell
        self._since: float | None = None
        self._told = False

    def over(self) -> None:
        """Something happens again."""
        self._since, self._told = None, False

    def enough(self, *, anybody: bool, absent: Sequence[str], expecting: bool) -> bool:
        """Whether to wait no longer. Raises MachineError where no machine has come at all.

        anybody: whether a machine ever joined. absent: the names of those that have left. expecting:
        whether an agent was asked who it is and has not answered.
        """
        now = self._monotonic()
        if self._since is None:
            self._since = now
            if absent:
                self._tell(Stalled(message=f"waiting for {', '.join(absent)} to come back"))
            elif not anybody:
                self._tell(Stalled(message="waiting for a machine to join"))
        waited = now - self._since
        if expecting and waited < self._longest_s:
            if waited >= NOTICE_S and not self._told:
                self._told = True
                self._tell(
                    Stalled(
                        message="waiting for agents that were asked who they are: they may be in a trial of an earlier "
                        f"run still, which may take {self._longest_s / 60:.0f} min"
                    )
                )
            return False
        if not anybody:
            if waited >= self._patience.first_machine_s:
                raise MachineError(
                    f"no machine has joined within {waited:.0f} s.",
                    cure="Start one with `joulefleet node up --join ADDRESS`, and look at what was refused above.",
                )
            return False
        return not absent or waited >= self._patience.absent_machines_s
