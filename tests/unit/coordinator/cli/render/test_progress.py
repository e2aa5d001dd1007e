"""What a user sees of a campaign."""

from __future__ import annotations

import io

import pytest

from coordinator.cli.render.progress import LiveProgress, PlainProgress
from coordinator.events.events import Collected, MachineBusy, PlanFixed, TrialEnded, TrialStarted
from coordinator.scheduling.attempt import AttemptFact
from coordinator.text import duration_text
from tests.support.tiny_trials import tiny_trial


def ended(status: str = "ok", flags: tuple[str, ...] = ()) -> TrialEnded:
    """Return the end of a trial."""
    outcome = AttemptFact(
        trial_id="t",
        attempt_id="t-r1-a1",
        place="p",
        machine_id="p",
        boot_id="b",
        kind="trial",
        block=1,
        round=1,
        attempt=1,
        cell=tiny_trial().cell,
        protocol="x",
        ended_s=0.0,
        status=status,
        reason=None if status == "ok" else "timeout",
        window_s=1.5 if status == "ok" else None,
        passes=3,
        wall_s=2.0,
        flags=flags,
    )
    return TrialEnded(machine="m", trial=tiny_trial(), outcome=outcome, number=3, total=8)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (3599.6, "1 h 0 min"), (72_000, "20 h 0 min")]
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    """Hours and minutes, not thousands of seconds."""
    assert duration_text(seconds) == text


def test_plain_lines_have_no_control_characters() -> None:
    """Piped output is text: one line an event, failures said with their reason."""
    stream = io.StringIO()
    show = PlainProgress(stream)
    show(PlanFixed(place="m", total=8, done=2, obsolete=0, expected_s=100))
    show(TrialStarted(machine="m", trial=tiny_trial(), number=3, total=8, left_s=60))
    show(ended(flags=("foreign_cpu",)))
    show(ended("failed"))
    show(Collected(machine="m", attempt_id="t-r1-a1"))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert "2 of them done before; about 1 min 40 s" in lines[0]
    assert lines[1].startswith("m: [3/8] block 1 big/one")
    assert "[foreign_cpu]" in lines[1]
    assert "FAILED (timeout)" in lines[2]
    assert "\x1b" not in stream.getvalue()


def drawn(show: LiveProgress) -> str:
    """Return what the live table shows now."""
    from rich.console import Console

    stream = io.StringIO()
    Console(file=stream, width=100).print(show._live.get_renderable())
    return stream.getvalue()


def test_the_live_table_takes_every_event() -> None:
    """The table shows what runs, what is done and what failed."""
    show = LiveProgress("tiny", now=lambda: 0.0)
    for event in (TrialStarted(machine="m", trial=tiny_trial(), number=3, total=8, left_s=60), ended("failed")):
        show(event)
    show.note("stopping")
    text = drawn(show)
    assert "1 min 0 s to go, 1 failed" in text
    assert "3/8" in text
    assert "FAILED (timeout)" in text
    assert "stopping" in text


def test_what_a_machine_does_is_shown_whole_whatever_its_name() -> None:
    """Names and messages may hold the colon that separates them in a line."""
    show = LiveProgress("tiny", now=lambda: 0.0)
    show(TrialStarted(machine="rack: 7", trial=tiny_trial(), number=3, total=8, left_s=60))
    assert "rack: 7  2/8   block 1, big/one" in drawn(show)
    show(MachineBusy(machine="rack: 7", message="busy: another agent measures."))
    assert "rack: 7  2/8   busy: another agent measures." in drawn(show)
    assert "to go" not in drawn(show), "how long it takes is not known while it is busy"
