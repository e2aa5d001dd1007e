"""Events as plain text."""

from __future__ import annotations

from typing import assert_never

from coordinator.events.events import (
    BlockStarted,
    ClockDiffers,
    Collected,
    Event,
    MachineBusy,
    MachineDone,
    MachineEvent,
    MachineJoined,
    MachineLeft,
    MachineRefused,
    MachineSetAside,
    PlanFixed,
    Preparing,
    Stalled,
    TrialEnded,
    TrialLost,
    TrialStarted,
)
from coordinator.text import duration_text
from joulefleet.plan.trial import Trial


def event_line(event: Event) -> str | None:
    """Return one line about `event` that names its machine; None for the start of a trial, whose end has a line."""
    match event:
        case TrialStarted():
            return None
        case MachineRefused():
            return f"{event.node} was refused: {event.why.rstrip('.')}. {event.cure}"
        case PlanFixed():
            return f"{event.place}: {_plan_text(event)}"
        case Stalled():
            return event.message
        case _:
            return f"{event.machine}: {event_detail(event)}"


def event_detail(event: MachineEvent) -> str:  # noqa: C901, PLR0912 - one case for each event
    """Return what has happened to the machine of `event`, without its name."""
    match event:
        case MachineJoined():
            return "joined"
        case MachineLeft():
            return f"gone ({event.why})"
        case MachineBusy():
            return event.message
        case MachineSetAside():
            return f"set aside: {event.why}"
        case MachineDone():
            return "done"
        case ClockDiffers():
            how = "ahead of" if event.ahead_s > 0 else "behind"
            return (
                f"its clock is {abs(event.ahead_s):.0f} s {how} this machine's, and its rows are dated by it. "
                "Have both keep the time (timedatectl set-ntp true)."
            )
        case Preparing():
            return f"preparing {event.what} ({event.number}/{event.total})"
        case BlockStarted():
            again = f", round {event.round}" if event.round > 1 else ""
            return f"block {event.number} of {event.total}{again}"
        case TrialStarted():
            return f"{_block_text(event.trial)}, {event.trial.cell}"
        case TrialEnded():
            where = f"{_block_text(event.trial)} {event.trial.cell}"
            return f"[{event.number}/{event.total}] {where}: {outcome_text(event)}"
        case TrialLost():
            return f"{event.trial.cell} was lost with its agent; it runs again"
        case Collected():
            return f"collected {event.attempt_id} from an earlier run"
        case _:
            assert_never(event)


def outcome_text(event: TrialEnded) -> str:
    """Return how the trial ended: ok with its window and flags, or FAILED with its reason."""
    outcome = event.outcome
    if outcome.status != "ok":
        return f"FAILED ({outcome.reason})"
    flags = f" [{', '.join(outcome.flags)}]" if outcome.flags else ""
    return f"ok, window {outcome.window_s or 0:.2f} s{flags}"


def _block_text(trial: Trial) -> str:
    """Return the block that `trial` is in, or that it is a pilot."""
    return "pilot" if trial.kind == "pilot" else f"block {trial.block}"


def _plan_text(event: PlanFixed) -> str:
    before = f", {event.done} of them done before" if event.done else ""
    obsolete = (
        f"; {event.obsolete} attempts of an earlier form of the study stay in the store and are not used"
        if event.obsolete
        else ""
    )
    return f"{event.total} trials{before}; about {duration_text(event.expected_s)} to go{obsolete}"
