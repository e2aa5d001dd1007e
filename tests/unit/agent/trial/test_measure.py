"""A trial from the lock to its outcome, with scripted work."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from agent.config import AgentSetup
from agent.host.lock import host_lock
from agent.trial.measure import measure, prepare
from agent.workloads.model_files import weights_folder
from joulefleet.errors import BusyError, MachineError, StudyError
from joulefleet.measurement import Failure, Measurement
from joulefleet.plan.trial import Trial
from tests.support.scripted_work import Mark, ScriptedPool, ScriptedServer, script, until
from tests.support.tiny_trials import tiny_trial


@pytest.fixture
def setup(tmp_path: Path) -> AgentSetup:
    """Return an agent without sensors in /sys, its folders those of the test."""
    return AgentSetup(
        sysfs_root=tmp_path / "sys",
        state=tmp_path / "state",
        cache=tmp_path / "cache",
        lock_folders=lambda: (tmp_path,),
        environment="bare",
    )


@pytest.fixture
def trial(setup: AgentSetup) -> Trial:
    """Return a trial whose weights are there."""
    trial = tiny_trial()
    folder = weights_folder(setup.cache, trial.protocol.model, labels=trial.protocol.task.labels)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "model.safetensors").write_bytes(b"weights")
    return trial


PoolOf = Callable[[list[Mark]], ScriptedPool]


@pytest.fixture
def pool_of() -> Iterator[PoolOf]:
    """Make pools whose work sends the given marks; the work ends with the test."""
    servers: list[ScriptedServer] = []

    def make(marks: list[Mark]) -> ScriptedPool:
        servers.append(ScriptedServer(marks=marks))
        return ScriptedPool(servers[-1])

    yield make
    for server in servers:
        server.close()


def failure_of(outcome: Measurement | Failure) -> Failure:
    """Return an outcome that must be a failure."""
    assert isinstance(outcome, Failure), outcome
    return outcome


def started_pids(setup: AgentSetup) -> Iterator[int]:
    """Return the processes in the journal."""
    for line in (setup.state / "starts.jsonl").read_text().splitlines():
        yield json.loads(line)["pid"]


def test_work_that_ends_well_is_a_measurement(trial: Trial, setup: AgentSetup, pool_of: PoolOf) -> None:
    """The request names the weights on this machine and the passes, and the start is in the journal."""
    pool = pool_of(script())
    outcome = measure(trial, setup, pool)
    assert isinstance(outcome, Measurement), outcome
    assert outcome.work.items == 4 * trial.protocol.passes
    assert pool.server is not None
    (request,) = pool.server.requests
    assert (request["do"], request["passes"]) == ("work", trial.protocol.passes)
    assert request["spec"]["weights_folder"].startswith(str(setup.cache))
    assert list(started_pids(setup)) == [pool.server.work.pid if pool.server.work else None]
    assert pool.discarded == 0


def test_work_that_fails_is_a_failure_with_the_end_of_its_output(
    trial: Trial, setup: AgentSetup, pool_of: PoolOf
) -> None:
    """Its process is killed, whatever it still does."""
    pool = pool_of([*until(script(), "loaded"), {"mark": "error", "kind": "exception", "message": "no"}])
    failure = failure_of(measure(trial, setup, pool))
    assert (failure.reason, failure.message, failure.stderr_tail) == ("exception", "no", "output of the work\n")
    assert failure.wall_s > 0
    assert all(
        not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        for pid in started_pids(setup)
    )


@pytest.mark.parametrize("changes", [{"parameters": "many"}, {"latencies_ns": None}, {"latencies_ns": ["x"]}])
def test_facts_of_another_form_are_a_failure(
    changes: dict[str, object], trial: Trial, setup: AgentSetup, pool_of: PoolOf
) -> None:
    """They come from another process: the agent must go on, whatever they are."""
    failure = failure_of(measure(trial, setup, pool_of(script(**changes))))
    assert failure.reason == "exception"
    assert "facts of another form" in failure.message


def test_a_runner_that_is_lost_before_the_first_mark_is_discarded(
    trial: Trial, setup: AgentSetup, pool_of: PoolOf
) -> None:
    """There is no process id yet by which its work could be killed."""
    pool = pool_of([])
    assert failure_of(measure(trial, setup, pool)).reason == "runner_lost"
    assert pool.discarded == 1


def test_no_trial_fails_because_another_environments_runner_is_not_there(trial: Trial, setup: AgentSetup) -> None:
    """Its container may be restarting: the coordinator sends the trial again later."""
    elsewhere = replace(trial, cell=replace(trial.cell, environment="pod"))
    with pytest.raises(BusyError, match="joulefleet runner pod"):
        measure(elsewhere, setup, ScriptedPool(None))
    assert failure_of(measure(trial, setup, ScriptedPool(None))).reason == "runner_lost"


def test_a_machine_that_is_measuring_refuses_a_trial(trial: Trial, setup: AgentSetup, pool_of: PoolOf) -> None:
    """Nothing is started then."""
    pool = pool_of(script())
    with host_lock(setup.lock_folders(), holder="somebody else"), pytest.raises(BusyError, match="somebody else"):
        measure(trial, setup, pool)
    assert pool.server is not None
    assert pool.server.requests == []


def test_work_whose_start_cannot_be_recorded_is_killed(trial: Trial, setup: AgentSetup, pool_of: PoolOf) -> None:
    """After a crash of the agent nobody could find it. It is this machine's error, not the trial's failure."""
    (setup.state / "starts.jsonl").mkdir(parents=True)
    pool = pool_of(script())
    with pytest.raises(MachineError, match=r"starts\.jsonl: cannot be written"):
        measure(trial, setup, pool)
    assert pool.server is not None
    assert pool.server.work is not None
    assert not psutil.pid_exists(pool.server.work.pid)


def test_other_weights_than_those_of_the_trial_are_not_measured(
    trial: Trial, setup: AgentSetup, pool_of: PoolOf
) -> None:
    """A folder may have changed after the plan was made; a folder that is gone is the same failure."""
    model = trial.protocol.model
    folder = weights_folder(setup.cache, model, labels=trial.protocol.task.labels)
    own = replace(model, architecture=None, path=str(folder), head="own", digest="0" * 64)
    changed = replace(trial, protocol=replace(trial.protocol, model=own))
    assert failure_of(measure(changed, setup, pool_of(script()))).reason == "weights_mismatch"
    gone = replace(changed, protocol=replace(trial.protocol, model=replace(own, path="/nowhere")))
    assert failure_of(measure(gone, setup, pool_of(script()))).reason == "weights_mismatch"


def test_what_is_wrong_with_a_model_is_a_mistake_of_the_study(trial: Trial, setup: AgentSetup, pool_of: PoolOf) -> None:
    """The message of the preparing process without its class, and a cure."""
    pool = pool_of(
        [{"mark": "error", "kind": "exception", "type": "ValueError", "message": "/models/x: no usable tokenizer"}]
    )
    with pytest.raises(StudyError, match=r"^/models/x: no usable tokenizer\. Fix the study's"):
        prepare(trial.protocol.model, trial.protocol.task, setup, pool)


def test_a_runner_that_is_lost_while_it_prepares_is_this_machines_error(
    trial: Trial, setup: AgentSetup, pool_of: PoolOf
) -> None:
    """The next call starts another fork server."""
    pool = pool_of([])
    with pytest.raises(MachineError, match="lost while it prepared"):
        prepare(trial.protocol.model, trial.protocol.task, setup, pool)
    assert pool.discarded == 1


def test_a_cache_that_cannot_be_written_is_named(trial: Trial, setup: AgentSetup, pool_of: PoolOf) -> None:
    """Before any process is started."""
    (setup.cache.parent / "file").write_text("")
    with pytest.raises(MachineError, match=r"\$JOULEFLEET_CACHE"):
        prepare(
            trial.protocol.model, trial.protocol.task, replace(setup, cache=setup.cache.parent / "file"), pool_of([])
        )
