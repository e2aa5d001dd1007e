"""A runner in another environment: the same trial, through the same path, in a process that it starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from agent.config import AgentSetup
from agent.runner.discovery import Offer, environment_of_runner, offers, query_runner, runner_socket
from agent.runner.pool import RunnerPool
from agent.trial.measure import measure
from joulefleet.errors import BusyError
from joulefleet.measurement import Failure, Measurement
from joulefleet.plan.trial import Trial
from joulefleet.study.spec import Isolation
from tests.integration.conftest import prepared
from tests.support.tiny_trials import tiny_trial
from tests.support.wait import until

pytestmark = pytest.mark.measures

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(setup: AgentSetup, tmp_path: Path) -> Iterator[Start]:
    """Start a runner of the environment `container`, with other variables than the agent's."""
    started: list[subprocess.Popen[bytes]] = []

    def start(label: str = "container", **environ: str) -> subprocess.Popen[bytes]:
        settings = {"JOULEFLEET_HOST_FOLDER": str(tmp_path), "JOULEFLEET_CACHE": str(setup.cache), **environ}
        process = subprocess.Popen(
            [sys.executable, "-m", "coordinator", "runner", label], env={**os.environ, **settings}
        )
        started.append(process)
        until(
            lambda: process.poll() is not None or runner_socket(setup.runners, label).exists(),
            why=lambda: "the runner is there",
        )
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def setup(tmp_path: Path, cache: Path) -> AgentSetup:
    """Return an agent that looks for runners in a folder of the test's own."""
    return AgentSetup(
        state=tmp_path / "state", cache=cache, lock_folders=lambda: (tmp_path,), runners=tmp_path / "runners"
    )


@pytest.fixture
def far(setup: AgentSetup) -> Iterator[RunnerPool]:
    """Return the fork servers of an agent that looks for runners there."""
    pool = RunnerPool(own="bare", folder=setup.runners)
    yield pool
    pool.discard()


def there(setup: AgentSetup, pool: RunnerPool, label: str = "container") -> Trial:
    """Return a trial of that environment whose weights are ready."""
    trial = prepared(tiny_trial(), setup, pool)
    return replace(trial, cell=replace(trial.cell, environment=label))


def offered(setup: AgentSetup) -> tuple[list[str], list[str]]:
    """Return the labels that the agent offers, and the reasons why others are not offered."""
    found = list(
        offers(setup.runners, own="bare", cache=setup.cache, sysfs_root=setup.sysfs_root, proc_root=setup.proc_root)
    )
    return [o.label for o in found if isinstance(o, Offer)], [o for o in found if isinstance(o, str)]


@pytest.mark.parametrize("isolation", ["warm", "cold"])
def test_a_trial_is_measured_there_as_here(
    start: Start, setup: AgentSetup, far: RunnerPool, isolation: Isolation
) -> None:
    """The measurement has every phase, the work's memory and its CPU time."""
    runner = start()
    trial = there(setup, far)
    outcome = measure(replace(trial, protocol=replace(trial.protocol, isolation=isolation)), setup, far)
    assert isinstance(outcome, Measurement), outcome
    assert [phase.name for phase in outcome.phases][1:4] == ["startup", "items", "load"]
    assert outcome.work.items == 4 * trial.protocol.passes
    cpu_s = outcome.phase("window").cpu_s
    assert cpu_s is not None
    assert cpu_s > 0
    assert outcome.memory.peak_rss_bytes is not None
    assert outcome.observer_cpu_s is not None
    assert runner.poll() is None


def test_the_fork_server_ends_with_the_agents_connection(start: Start, setup: AgentSetup, far: RunnerPool) -> None:
    """However the agent ends: none of its processes stays in the other environment."""
    runner = start()
    server = far.fork_server(environment="container", threads=1, cold=False)
    until(lambda: bool(psutil.Process(runner.pid).children()), why=lambda: "the fork server has started")
    assert server.root_pid == runner.pid
    assert server.alive()
    far.discard()
    until(lambda: not psutil.Process(runner.pid).children(), why=lambda: "the fork server has ended")


def test_work_dies_with_its_runner_and_the_trial_says_so(start: Start, setup: AgentSetup, far: RunnerPool) -> None:
    """A container may be killed in the middle of a trial."""
    runner = start()
    trial = there(setup, far)
    long = replace(trial, protocol=replace(trial.protocol, passes=100_000))
    outcome = measure(long, setup, far, on_start=runner.kill)
    assert isinstance(outcome, Failure)
    assert outcome.reason in {"runner_lost", "killed"}
    # Without the runner no attempt begins and none fails: its container may be restarting.
    with pytest.raises(BusyError, match="joulefleet runner container"):
        measure(trial, setup, far)


def test_a_runner_ends_on_sigterm_and_removes_its_socket(start: Start, setup: AgentSetup) -> None:
    """A runner that was killed leaves a socket behind, and the next runner replaces it."""
    first = start()
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 0
    assert not runner_socket(setup.runners, "container").exists()
    start().kill()
    until(lambda: not _answers(setup), why=lambda: "the killed one is gone")
    labels, why = offered(setup)
    assert labels == ["bare"]
    assert "joulefleet runner container" in why[0]
    start()
    until(lambda: _answers(setup), why=lambda: "the next one answers")
    assert offered(setup) == (["bare", "container"], [])


def test_one_environment_has_one_runner(start: Start, setup: AgentSetup) -> None:
    """A second one would replace the first one's socket."""
    start()
    until(lambda: _answers(setup), why=lambda: "the first one answers")
    assert start().wait(60) == 5
    assert _answers(setup)


def test_a_runner_that_does_not_have_the_agents_weights_is_not_offered(
    start: Start, setup: AgentSetup, tmp_path: Path
) -> None:
    """All its trials would fail; the reason names the folder."""
    start(JOULEFLEET_CACHE=str(tmp_path / "another"))
    until(lambda: _answers(setup), why=lambda: "it answers")
    labels, why = offered(setup)
    assert labels == ["bare"]
    assert str(setup.cache) in why[0]


def test_the_environment_record_is_that_of_the_runner(start: Start, setup: AgentSetup) -> None:
    """The row of a trial describes where the work ran, not where the agent is."""
    start(JOULEFLEET_IMAGE="an image")
    until(lambda: _answers(setup), why=lambda: "it answers")
    found = environment_of_runner(setup.runners, "container")
    assert found is not None
    assert found.image == "an image"
    assert environment_of_runner(setup.runners, "pod") is None


def _answers(setup: AgentSetup) -> bool:
    from agent.runner.protocol import Disconnected

    try:
        query_runner(runner_socket(setup.runners, "container"))
    except Disconnected:
        return False
    return True
