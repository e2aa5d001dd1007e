"""Prepare and measure one trial on this machine, from the lock to the outcome."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import psutil

from agent.config import AgentSetup
from agent.host.lock import host_lock
from agent.runner.conversation import Conversation
from agent.runner.pool import ForkServer, RunnerPool
from agent.runner.protocol import Disconnected, ProtocolError
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
"""Longest time to prepare a model and its items, seconds."""

END_WORK_S = 10.0
"""Time for the end of a killed process, seconds, before its fork server is ended."""


def measure(
    trial: Trial,
    setup: AgentSetup,
    pool: RunnerPool,
    *,
    epoch: int | None = None,
    on_start: Callable[[], None] | None = None,
) -> Outcome:
    """Measure `trial` and return its outcome. A trial that fails is a `Failure`, never an exception.

    `epoch` is that of the coordinator that sent the trial. `on_start` is called when the work's process has
    started. Raises BusyError where another agent measures on this host or the environment's runner is not
    there, and MachineError where the journal cannot be written; then no attempt was made.
    """
    with host_lock(setup.lock_folders(), holder=f"study {trial.study}, trial {trial.attempt_id}"):
        begun, started_at_ns = time.monotonic(), time.time_ns()
        journal = Journal(setup.state, epoch=epoch)
        journal.sweep()

        def started(pid: int) -> None:
            try:
                journal.started(trial, pid)
            except OSError as error:
                _end_work(pid, pool)
                raise MachineError(
                    f"{journal.path}: cannot be written ({error.strerror}).",
                    cure="Free space or grant rights there, or set $JOULEFLEET_STATE to another folder.",
                ) from error
            if on_start is not None:
                on_start()

        try:
            return _measure(trial, setup, pool, started, begun=begun, started_at_ns=started_at_ns)
        except AttemptFailed as failed:
            return Failure(
                reason=failed.reason,
                message=failed.message,
                stderr_tail=failed.stderr_tail,
                started_at_ns=started_at_ns,
                wall_s=time.monotonic() - begun,
            )


def prepare(model: ResolvedModel, task: ResolvedTask, setup: AgentSetup, pool: RunnerPool) -> None:
    """Write or fetch weights and items on this machine. Raises StudyError or MachineError with what is missing."""
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
            cure="Set $JOULEFLEET_CACHE to a folder that can be written.",
        ) from error
    # Building weights keeps every core busy: never during another agent's window.
    with host_lock(setup.lock_folders(), holder="preparing weights"):
        _prepare(request, pool)


def _prepare(request: PrepareRequest, pool: RunnerPool) -> None:
    conversation: Conversation | None = None
    try:
        conversation = pool.any_fork_server().request({"do": "prepare", "spec": asdict(request)})
        ends = time.monotonic() + PREPARE_TIMEOUT_S
        message = conversation.next_mark(due_s=lambda: _left(ends))
        if message.get("mark") != "done":
            reason = str(message.get("message") or f"the process ended with {message.get('returncode')}")
            raise StudyError(f"{reason}.", cure="Fix the study's `models:` or `items:`.")
    except (Disconnected, ProtocolError) as error:
        pool.discard()
        raise MachineError("the runner was lost while it prepared weights.", cure="See the agent's output.") from error
    finally:
        if conversation is not None:
            conversation.close()


def _measure(
    trial: Trial,
    setup: AgentSetup,
    pool: RunnerPool,
    started: Callable[[int], None],
    *,
    begun: float,
    started_at_ns: int,
) -> Outcome:
    """Return the measurement; `begun` is by the monotonic clock, seconds. Raises AttemptFailed."""
    cold = trial.protocol.isolation == "cold"
    spec, weights_digest = _checked_spec(trial, setup)
    if not cold or trial.cell.environment != pool.own:
        # Importing torch belongs neither to a trial nor to its idle baseline; a cold trial starts its own fork server.
        _wait_ready(trial, pool, _model_type(Path(spec.weights_folder)))
    kills_before = oom_kills(setup.proc_root)
    sensors = open_sensors(trial.protocol.energy_source, setup, period_s=1 / trial.sampling_hz)
    try:
        attempt = Attempt(trial, setup, sensors, time.monotonic() + trial.timeout_s)
        server: ForkServer | None = None
        conversation: Conversation | None = None
        try:
            attempt.baseline()
            server = _fork_server(trial, pool, cold=cold)
            conversation = server.request({"do": "work", "spec": asdict(spec), "passes": trial.protocol.passes})
            attempt.work(server, conversation, [os.getpid(), *setup.observers()], started)
        except (AttemptFailed, Disconnected) as error:
            output = conversation.output_tail() if conversation else ""
            _end_work(attempt.pid, pool)
            # The next trial's baseline must not begin on a machine that this trial heated.
            attempt.cool_down()
            failed = _classified(error, kills_before, oom_kills(setup.proc_root))
            failed.stderr_tail = output
            raise failed from error.__cause__
        finally:
            if conversation is not None:
                conversation.close()
            if cold and server is not None:
                server.close()
        attempt.cool_down()
        try:
            return measurement(
                trial,
                attempt.observed,
                sensors,
                weights_digest=weights_digest,
                logical_cpus=os.cpu_count() or 1,
                started_at_ns=started_at_ns,
                wall_s=time.monotonic() - begun,
            )
        except (KeyError, TypeError, ValueError) as error:
            # The facts are data from another process: where they are wrong, the trial fails and the agent goes on.
            raise AttemptFailed("exception", f"the work sent facts of another form ({error!r})") from error
    finally:
        sensors.sampler.close()


def _wait_ready(trial: Trial, pool: RunnerPool, model_type: str) -> None:
    try:
        _fork_server(trial, pool, cold=False).wait_ready(model_type)
    except (Disconnected, ProtocolError) as error:
        pool.discard()
        if trial.cell.environment != pool.own:
            # No attempt has begun: the container may be restarting, and a trial must not fail for that.
            raise BusyError(
                f"the runner of {trial.cell.environment} is not there ({error}).",
                cure=f"Start it in that environment: joulefleet runner {trial.cell.environment}",
            ) from error
        raise AttemptFailed("runner_lost", f"the runner did not start ({error})") from error


def _fork_server(trial: Trial, pool: RunnerPool, *, cold: bool) -> ForkServer:
    return pool.fork_server(environment=trial.cell.environment, threads=trial.cell.threads, cold=cold)


def _end_work(pid: int | None, pool: RunnerPool) -> None:
    """Kill leftover work: the next trial needs an idle machine."""
    if pid is not None:
        try:
            process = psutil.Process(pid)
            process.kill()
            process.wait(timeout=END_WORK_S)
        except psutil.NoSuchProcess:
            return
        except (psutil.TimeoutExpired, psutil.AccessDenied):
            # The work of another environment may belong to another user: it ends with its fork server.
            pool.discard()
    else:
        pool.discard()


def _classified(error: Exception, kills_before: int | None, kills_after: int | None) -> AttemptFailed:
    """Return `error` as the reason of the failure: a SIGKILL may be one of the kernel's out-of-memory killer."""
    if isinstance(error, Disconnected):
        return AttemptFailed("runner_lost", f"the runner could not be reached ({error})")
    assert isinstance(error, AttemptFailed)
    counted = kills_before is not None and kills_after is not None and kills_after > kills_before
    if error.reason == "killed" and counted:
        return AttemptFailed("out_of_memory", f"{error.message}: the kernel's out-of-memory killer")
    return error


def _checked_spec(trial: Trial, setup: AgentSetup) -> tuple[WorkSpec, str]:
    """Return what the work needs, and the digest of the weights. Raises AttemptFailed for other weights."""
    model, task = trial.protocol.model, trial.protocol.task
    folder = weights_folder(setup.cache, model, labels=task.labels)
    try:
        digest = folder_digest(folder)
    except (StudyError, OSError) as error:
        raise AttemptFailed("weights_mismatch", str(error)) from error
    if model.path is not None and model.head == "own" and digest != model.digest:
        mismatch = f"{folder}: the digest of its weights is {digest[:12]}, that of the trial is {model.digest[:12]}"
        raise AttemptFailed("weights_mismatch", mismatch)
    texts = items_file(setup.cache, task)
    spec = WorkSpec(
        cell=trial.cell,
        protocol=trial.protocol,
        weights_folder=str(folder),
        items_file=None if texts is None else str(texts),
        # The user's folder itself, not a copy: the files that are read are those whose digest was checked.
        tokenizer_folder=model.tokenizer or model.path,
    )
    return spec, digest


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
