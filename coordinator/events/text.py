"""Events as plain lines."""

from __future__ import annotations

from typing import assert_never

from coordinator.events.events import (
    BlockStarted,
    ClockDiffers,
    Collected,
    Event,
    MachineBusy,
    MachineDone,
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


def event_line(event: Event) -> str | None:  # noqa: C901, PLR0912 - one case an event
    """One plain line about `event`; None where it is not worth one."""
    match event:
        case MachineJoined():
            return f"{event.machine}: joined"
        case MachineRefused():
            return f"{event.node} takes no part: {event.why.rstrip('.')}. {event.cure}"
        case MachineLeft():
            return f"{event.machine}: gone ({event.why})"
        case MachineBusy():
            return f"{event.machine}: {event.message}"
        case MachineSetAside():
            return f"{event.machine}: set aside: {event.why}"
        case ClockDiffers():
            how = "ahead of" if event.ahead_s > 0 else "behind"
            return (
                f"{event.machine}: its clock is {abs(event.ahead_s):.0f} s {how} this machine's, and its rows are "
                "dated by it. Have both keep the time (timedatectl set-ntp true)."
            )
        case MachineDone():
            return f"{event.machine}: done"
        case Preparing():
            return f"{event.machine}: preparing {event.what} ({event.number}/{event.total})"
        case PlanFixed():
            return _plan_line(event)
        case BlockStarted():
            again = f", round {event.round}" if event.round > 1 else ""
            return f"{event.machine}: block {event.number} of {event.total}{again}"
        case TrialStarted():
            return None
        case TrialEnded():
            what = "pilot" if event.trial.kind == "pilot" else f"block {event.trial.block}"
            return f"{event.machine}: [{event.number}/{event.total}] {what} {event.trial.cell}: {outcome_text(event)}"
        case TrialLost():
            return f"{event.machine}: {event.trial.cell} was lost with its agent; it runs again"
        case Collected():
            return f"{event.machine}: collected {event.attempt_id} from an earlier run"
        case Stalled():
            return event.message
        case _:
            assert_never(event)


def _plan_line(event: PlanFixed) -> str:
    before = f", {event.done} of them done before" if event.done else ""
    again = (
        f"; {event.obsolete} attempts of an earlier form of the study stay in the store and are not used"
        if event.obsolete
        else ""
    )
    return f"{event.place}: {event.total} trials{before}; about {duration_text(event.expected_s)} to go{again}"


def outcome_text(event: TrialEnded) -> str:
    """The outcome of the trial that ended: ok with its window and flags, or FAILED with its reason."""
    outcome = event.outcome
    if outcome.status != "ok":
        return f"FAILED ({outcome.reason})"
    flags = f" [{', '.join(outcome.flags)}]" if outcome.flags else ""
    return f"ok, window {outcome.window_s or 0:.2f} s{flags}"
