"""An attempt from mark to mark, with scripted work in a process of its own."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agent.config import AgentSetup
from agent.trial.attempt import Attempt, AttemptFailed
from agent.trial.sensor_set import open_sensors
from joulefleet.measurement import Reason
from joulefleet.plan.trial import Trial
from tests.support.scripted_work import FACTS, Mark, ScriptedServer, script, until
from tests.support.tiny_trials import tiny_trial


@contextmanager
def attempt_at(trial: Trial, sysfs_root: Path, *, timeout_s: float = 30.0) -> Iterator[Attempt]:
    """Make an attempt on a machine without sensors but those of /proc."""
    setup = AgentSetup(sysfs_root=sysfs_root)
    sensors = open_sensors("powercap", setup, period_s=0.1)
    try:
        yield Attempt(trial, setup, sensors, time.monotonic() + timeout_s)
    finally:
        sensors.sampler.close()


def worked(attempt: Attempt, server: ScriptedServer, *, observers: tuple[int, ...] = ()) -> list[int]:
    """Follow the work of `server` to its end; return the process ids that were reported as started."""
    started: list[int] = []
    conversation = server.request({})
    try:
        attempt.work(server, conversation, observers, started.append)  # type: ignore[arg-type]  # a stand-in
    finally:
        conversation.close()
        server.close()
    return started


def failure_of(marks: list[Mark], tmp_path: Path, *, root_pid: int | None = None) -> AttemptFailed:
    """Return the error of an attempt whose work sends `marks`."""
    server = ScriptedServer(marks=marks) if root_pid is None else ScriptedServer(marks=marks, root_pid=root_pid)
    with attempt_at(tiny_trial(), tmp_path) as attempt, pytest.raises(AttemptFailed) as raised:
        worked(attempt, server)
    return raised.value


def test_every_phase_ends_where_the_next_begins(tmp_path: Path) -> None:
    """No time and no energy is lost between two phases, or counted twice."""
    with attempt_at(tiny_trial(), tmp_path) as attempt:
        attempt.baseline()
        server = ScriptedServer(marks=script())
        started = worked(attempt, server)
        attempt.cool_down()
    phases = attempt.observed.phases
    names = ["baseline", "startup", "items", "load", "warm_up", "window", "teardown", "cool_down"]
    assert [phase.name for phase in phases] == names
    assert all(before.end_ns == after.start_ns for before, after in itertools.pairwise(phases))
    assert server.work is not None
    assert started == [attempt.pid] == [server.work.pid]


def test_the_facts_of_all_marks_are_collected(tmp_path: Path) -> None:
    """They are unchecked data until the summary."""
    with attempt_at(tiny_trial(), tmp_path) as attempt:
        worked(attempt, ScriptedServer(marks=script(answer={"any": ["JSON"]})))
    observed = attempt.observed
    assert (observed.facts["parameters"], observed.facts["answer"]) == (FACTS.parameters, {"any": ["JSON"]})
    assert observed.base_memory[0]
    assert observed.pss_uss[0]


def test_observers_are_counted_without_the_work(tmp_path: Path) -> None:
    """The agent itself is one; a process that has ended makes their CPU time unknown."""
    with attempt_at(tiny_trial(), tmp_path) as attempt:
        worked(attempt, ScriptedServer(marks=script()), observers=(os.getpid(),))
    assert attempt.observed.observer_cpu_s is not None
    assert attempt.observed.observer_cpu_s >= 0


@pytest.mark.parametrize(
    ("mark", "reason", "message"),
    [
        ({"mark": "error", "kind": "exception", "type": "ValueError", "message": "no"}, "exception", "ValueError: no"),
        ({"mark": "error", "kind": "out_of_memory", "message": "no memory"}, "out_of_memory", "no memory"),
        ({"mark": "exit", "returncode": -9}, "killed", "ended with signal 9"),
        ({"mark": "exit", "returncode": 3}, "exception", "ended with exit code 3"),
        ({"mark": "closed"}, "exception", "the mark 'closed' in place of 'loaded'"),
        ({"mark": ["loaded"]}, "exception", "in place of 'loaded'"),
        ({"mark": "exit"}, "exception", "facts of another form (KeyError('returncode'))"),
        ({"mark": "exit", "returncode": "all"}, "exception", "facts of another form (ValueError("),
    ],
)
def test_a_mark_that_ends_the_work_gives_the_reason(mark: Mark, reason: Reason, message: str, tmp_path: Path) -> None:
    """Whatever comes in place of a mark, the attempt fails with a reason of the schema."""
    failed = failure_of([*until(script(), "loaded"), mark], tmp_path)
    assert failed.reason == reason
    assert message in failed.message


def test_a_runner_that_closes_the_connection_is_lost(tmp_path: Path) -> None:
    """There is no return code then."""
    assert failure_of(until(script(), "loaded"), tmp_path).reason == "runner_lost"


def test_a_mark_of_another_process_is_refused(tmp_path: Path) -> None:
    """The agent kills the process that a mark comes from, so it must be one of the fork server's."""
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as other:
        failed = failure_of(script(), tmp_path, root_pid=other.pid)
        other.kill()
    assert (failed.reason, failed.message) == (
        "exception",
        "the work sent a mark of a process that is not the runner's",
    )


def test_a_fork_server_that_cannot_be_seen_is_lost(tmp_path: Path) -> None:
    """Its work could neither be measured nor killed; the message has the cure."""
    failed = failure_of(script(), tmp_path, root_pid=0)
    assert failed.reason == "runner_lost"
    assert "pid: host" in failed.message


def test_an_attempt_has_a_deadline_but_its_cool_down_has_none(tmp_path: Path) -> None:
    """Work that never sends its next mark ends in a time-out, and the machine still cools down."""
    with attempt_at(tiny_trial(), tmp_path, timeout_s=0.5) as attempt:
        with pytest.raises(AttemptFailed) as raised:
            worked(attempt, ScriptedServer(marks=[{"mark": "hello"}, {"mark": "pause"}]))
        attempt.cool_down()
    assert raised.value.reason == "timeout"
    assert attempt.observed.phases[-1].name == "cool_down"


def test_a_warm_up_that_is_not_steady_gets_a_flag(tmp_path: Path) -> None:
    """A sustained trial may go on after its longest warm-up, but the row says so."""
    trial = tiny_trial()
    timing = replace(trial.protocol.timing, warm_up_at_least_s=0.0, warm_up_at_most_s=0.1)
    sustained = replace(trial, protocol=replace(trial.protocol, regime="sustained", timing=timing))
    with attempt_at(sustained, tmp_path) as attempt:
        worked(attempt, ScriptedServer(marks=script()))
    assert attempt.observed.flags == ["not_steady"]
