"""Measure one trial on this machine, from the lock to the outcome."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from agent.config import AgentSetup
from agent.host.lock import host_lock
from agent.runner.conversation import Conversation
from agent.runner.pool import RunnerHost, RunnerPool
from agent.runner.protocol import Disconnected, Stranger
from agent.sensors.system.cpu_memory import oom_kills
from agent.state.journal import Journal
from agent.trial.attempt import Attempt, AttemptFailed
from agent.trial.sensor_set import open_sensors
from agent.trial.summary import measurement
from agent.workloads.base import PrepareRequest, WorkSpec
from agent.workloads.model_files import body_folder, folder_digest, items_file, weights_folder
from joulefleet.errors import BusyError, MachineError, StudyError
from joulefleet.measurement import Failure, Outcome
from joulefleet.plan.trial import ResolvedModel, ResolvedTask, Trial

PREPARE_TIMEOUT_S = 3600.0
END_WORK_S = 10.0


def measure(
    trial: Trial,
    setup: AgentSetup,
    pool: RunnerPool,
    *,
    epoch: int | None = None,
    on_start: Callable[[], None] | None = None,
) -> Outcome:
    """The outcome of `trial`. A trial that fails is a `Failure`, never an exception.

    `epoch` is that of the coordinator who ordered it. `on_start` is called once the work's process has
    begun. Raises MachineError where another agent measures on this host; then nothing was started.
    """
    with host_lock(setup.lock_folders(), holder=f"study {trial.study}, trial {trial.attempt_id}"):
        clock = _Clock(begun=time.monotonic(), started_at_ns=time.time_ns())
        journal = Journal(setup.state, epoch=epoch)
        journal.sweep()

        def started(pid: int) -> None:
            try:
                journal.started(trial, pid)
            except OSError as error:
                _end_work(pid, pool)
                raise MachineError(
                    f"{journal.path}: cannot be written ({error.strerror}).",
                    cure="Make room or give rights there, or name another folder in $JOULEFLEET_STATE.",
                ) from error
            if on_start is not None:
                on_start()

        try:
            return _measure(trial, setup, pool, clock, started)
        except _Failed as failed:
            return Failure(
                reason=failed.cause.reason,
                message=failed.cause.message,
                stderr_tail=failed.stderr_tail,
                started_at_ns=clock.started_at_ns,
                wall_s=time.monotonic() - clock.begun,
            )


def prepare(model: ResolvedModel, task: ResolvedTask, setup: AgentSetup, pool: RunnerPool) -> None:
    """Get weights and items ready on this machine. Raises StudyError or MachineError with what is missing."""
    folder = weights_folder(setup.cache, model, labels=task.labels)
    texts = items_file(setup.cache, task)
    request = PrepareRequest(
        model=model,
        task=task,
        weights_folder=str(folder),
        body_folder=str(body_folder(setup.cache, model)),
        items_file=None if texts is None else str(texts),
    )
    try:
        setup.cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(
            f"{setup.cache}: weights cannot be kept there ({error.strerror}).",
            cure="Name a folder that can be written in $JOULEFLEET_CACHE.",
        ) from error
    # Building weights keeps every core busy: never beside somebody's window.
    with host_lock(setup.lock_folders(), holder="preparing weights"):
        _prepare(request, pool)


def _prepare(request: PrepareRequest, pool: RunnerPool) -> None:
    conversation: Conversation | None = None
    try:
        conversation = pool.any_host().ask({"do": "prepare", "spec": asdict(request)})
        ends = time.monotonic() + PREPARE_TIMEOUT_S
        message = conversation.next_mark(due_s=lambda: _left(ends))
        if message.get("mark") != "done":
            said = str(message.get("message") or f"the process ended with {message.get('returncode')}")
            raise StudyError(f"{said.split(': ', 1)[-1]}.", cure="Mend the study's `models:` or `items:`.")
    except (Disconnected, Stranger) as error:
        pool.discard()
        raise MachineError("the runner went away while it prepared weights.", cure="See the agent's output.") from error
    finally:
        if conversation is not None:
            conversation.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clock:
    """When the attempt began, by the monotonic clock (s) and the wall clock (ns)."""

    begun: float
    started_at_ns: int


class _Failed(Exception):
    def __init__(self, cause: AttemptFailed, stderr_tail: str) -> None:
        super().__init__(cause.message)
        self.cause = cause
        self.stderr_tail = stderr_tail


def _measure(
    trial: Trial,
    setup: AgentSetup,
    pool: RunnerPool,
    clock: _Clock,
    started: Callable[[int], None],
) -> Outcome:
    cold = trial.protocol.isolation == "cold"
    spec, weights_digest = _checked_spec(trial, setup)
    if not cold or trial.cell.environment != pool.own:
        # Importing torch is no part of a trial, and an idle baseline is idle. A cold trial has another host of its own.
        _ready_host(trial, pool, _model_type(Path(spec.weights_folder)))
    kills_before = oom_kills(setup.proc_root)
    sensors = open_sensors(trial.protocol.energy_source, setup, period_s=1 / trial.sampling_hz)
    try:
        attempt = Attempt(trial, setup, sensors, time.monotonic() + trial.timeout_s)
        host: RunnerHost | None = None
        conversation: Conversation | None = None
        try:
            attempt.baseline()
            host = _host(trial, pool, cold=cold)
            conversation = host.ask({"do": "work", "spec": asdict(spec), "passes": trial.protocol.passes})
            attempt.work(host, conversation, [os.getpid(), *setup.observers()], started)
        except (AttemptFailed, Disconnected) as error:
            tail = conversation.output_tail() if conversation else ""
            _end_work(attempt.pid, pool)
            # The next trial's baseline must not begin on what this one heated.
            attempt.cool_down()
            raise _Failed(_told_apart(error, kills_before, oom_kills(setup.proc_root)), tail) from error
        finally:
            if conversation is not None:
                conversation.close()
            if cold and host is not None:
                host.close()
        attempt.cool_down()
        try:
            return measurement(
                trial,
                attempt.seen,
                sensors,
                weights_digest=weights_digest,
                logical_cpus=os.cpu_count() or 1,
                started_at_ns=clock.started_at_ns,
                wall_s=time.monotonic() - clock.begun,
            )
        except (KeyError, TypeError, ValueError) as error:
            # The work's facts are data from another process: amiss, they make a failure, not a crash.
            raise _Failed(AttemptFailed("exception", f"the work's facts are amiss ({error!r})"), "") from error
    finally:
        sensors.recorder.close()


def _ready_host(trial: Trial, pool: RunnerPool, model_type: str) -> None:
    try:
        _host(trial, pool, cold=False).wait_ready(model_type)
    except (Disconnected, Stranger) as error:
        pool.discard()
        if trial.cell.environment != pool.own:
            # Nothing has begun: its container may be starting again, and a trial must not fail for that.
            raise BusyError(
                f"the runner of {trial.cell.environment} is not there ({error}).",
                cure=f"Start it in that environment: joulefleet runner {trial.cell.environment}",
            ) from error
        raise _Failed(AttemptFailed("runner_lost", f"the runner did not start ({error})"), "") from error


def _host(trial: Trial, pool: RunnerPool, *, cold: bool) -> RunnerHost:
    return pool.host(environment=trial.cell.environment, threads=trial.cell.threads, cold=cold)


def _end_work(pid: int | None, pool: RunnerPool) -> None:
    """Whatever the work still does, it does no longer: the next trial needs a quiet machine."""
    if pid is not None:
        try:
            process = psutil.Process(pid)
            process.kill()
            process.wait(timeout=END_WORK_S)
        except psutil.NoSuchProcess:
            return
        except (psutil.TimeoutExpired, psutil.AccessDenied):
            # A runner's work may be another user's: it dies with its host, which the runner ends.
            pool.discard()
    else:
        pool.discard()


def _told_apart(error: Exception, kills_before: int | None, kills_after: int | None) -> AttemptFailed:
    """A SIGKILL that was the kernel's out-of-memory killer, told from one that was not."""
    if isinstance(error, Disconnected):
        return AttemptFailed("runner_lost", f"the runner could not be reached ({error})")
    assert isinstance(error, AttemptFailed)
    counted = kills_before is not None and kills_after is not None and kills_after > kills_before
    if error.reason == "killed" and counted:
        return AttemptFailed("out_of_memory", f"{error.message}: the kernel's out-of-memory killer")
    return error


def _checked_spec(trial: Trial, setup: AgentSetup) -> tuple[WorkSpec, str]:
    """What the work is made from, once the weights are known to be those asked for. Raises _Failed."""
    model, task = trial.protocol.model, trial.protocol.task
    folder = weights_folder(setup.cache, model, labels=task.labels)
    try:
        found = folder_digest(folder)
    except (StudyError, OSError) as error:
        raise _Failed(AttemptFailed("weights_mismatch", str(error)), "") from error
    if model.path is not None and model.head == "own" and found != model.digest:
        mismatch = f"{folder}: its weights are {found[:12]}, the trial asks for {model.digest[:12]}"
        raise _Failed(AttemptFailed("weights_mismatch", mismatch), "")
    texts = items_file(setup.cache, task)
    spec = WorkSpec(
        cell=trial.cell,
        protocol=trial.protocol,
        weights_folder=str(folder),
        items_file=None if texts is None else str(texts),
        # The user's folder, not a copy of it: what was digested is what is read.
        tokenizer_folder=model.tokenizer or model.path,
    )
    return spec, found


def _model_type(folder: Path) -> str:
    try:
        return str(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type", ""))
    except (OSError, ValueError):
        return ""


def _left(ends: float) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise MachineError("preparing weights took over an hour.", cure="Check the network and the disk.")
    return left
