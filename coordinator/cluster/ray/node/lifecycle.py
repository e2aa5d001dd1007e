"""Starting and ending the Ray node of this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from agent.host.machine import boot_id
from coordinator.cluster.ray import settings
from coordinator.cluster.ray.auth import MODE_VARIABLE, PATH_VARIABLE, ensure_token, need_token, token_file
from coordinator.cluster.ray.network import HEAD_WAIT_S, check_ports, own_address, wait_for_head
from coordinator.cluster.ray.node.processes import ProcessKey, alive, end, members, session
from coordinator.cluster.ray.node.processes import process as process_of
from coordinator.cluster.ray.node.spec import NodePlan, Tls, check_folder
from coordinator.cluster.ray.node.state import NodeRecord, delete_record, read_record, write_record
from coordinator.cluster.ray.probe import probe
from joulefleet.errors import MachineError
from joulefleet.locks import try_lock

_CONTROL_SERVER = "gcs_server"

START_S = 60.0
"""Longest time that `ray start` may take, seconds."""

GRACE_S = 5.0
"""Time between SIGTERM and SIGKILL, seconds."""

_PROC = Path("/proc")

_ACCESS = (MODE_VARIABLE, PATH_VARIABLE, "RAY_USE_TLS", "RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEnded:
    """What `down` has ended."""

    head: str
    """HOST:PORT of the cluster's head."""
    processes: int
    """Number of processes."""


def up(plan: NodePlan, *, state: Path, token: Path | None, tls: Tls | None) -> NodeRecord:
    """Start the node of `plan` and return once the cluster counts it among its nodes. Raises MachineError.

    The order is: lock, tidy up after a node that crashed, check, start, record. `token` is the token's file, by default
    the one of the state folder `state`. If anything fails, all that was started is ended.
    """
    settings.need_ray()
    with _alone(state):
        record = read_record(state)
        if record is not None:
            if _is_up(record):
                raise MachineError(
                    f"a node of the cluster at {record.head} is up here already.",
                    cure="`joulefleet node down` ends it; $JOULEFLEET_STATE names another folder for another node.",
                )
            _tidy(record, state)
        plan.check(with_token=os.environ.get(MODE_VARIABLE, "token") == "token", towards_head=own_address(plan.join))
        token = (token or token_file(state)).absolute()
        if plan.join is None:
            ensure_token(token)
        else:
            need_token(token, whose=f"the head at {plan.join}")
        check_ports(plan.listen, plan.ports.all(is_head=plan.join is None))
        environment = _environment(tls)
        if plan.join is not None:
            wait_for_head(plan.join, wait_s=HEAD_WAIT_S)
            probe(plan.join, environment)
        return _start(plan, state, environment)


def down(state: Path) -> NodeEnded | None:
    """End what `up` started, even after a crash; return None where no node is recorded. Raises MachineError."""
    with _alone(state):
        record = read_record(state)
        if record is None:
            return None
        return NodeEnded(head=record.head, processes=_tidy(record, state))


def _start(plan: NodePlan, state: Path, environment: Mapping[str, str]) -> NodeRecord:
    """Run `ray start` and record its node; if anything fails, end what was started."""
    folder = _make_folder()
    log = folder / "start.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "coordinator.cluster.ray.node.launch", *plan.arguments(folder)],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        return _record_start(process, plan, state, environment, log)
    except BaseException as error:
        if process.poll() is None:
            process.kill()
            process.wait()
        end(lambda: session(process.pid), grace_s=0)
        with contextlib.suppress(OSError):
            delete_record(state)
        if isinstance(error, subprocess.TimeoutExpired):
            raise _not_started(log) from error
        if isinstance(error, OSError):
            raise _not_writable(state, error) from error
        raise


def _record_start(
    process: subprocess.Popen[bytes], plan: NodePlan, state: Path, environment: Mapping[str, str], log: Path
) -> NodeRecord:
    """Record the node that `process` starts; return once it is a node of the cluster."""
    launcher = process_of(process.pid)
    if launcher is None:
        raise _not_started(log)
    record = NodeRecord(
        boot_id=boot_id(_PROC),
        head=plan.head,
        folder=str(log.parent),
        session=process.pid,
        raylet=launcher.key,
        processes=(launcher.key,),
        access={name: environment[name] for name in _ACCESS if name in environment},
    )
    # Recorded before there is anything to end: `down` finds the session even if this process dies now.
    write_record(state, record)
    code = process.wait(START_S)
    started = session(process.pid)
    raylet = next((key for key in started if key.name == "raylet"), None)
    if code or raylet is None:
        raise _not_started(log)
    record = replace(record, raylet=raylet, processes=tuple(started))
    write_record(state, record)
    cluster = probe(plan.head, environment)
    if plan.address not in {node.address for node in cluster.nodes}:
        raise _not_started(log)
    return record


def _tidy(record: NodeRecord, state: Path) -> int:
    """End what is left of a node and delete its record; return the number of processes."""
    count = 0
    if record.boot_id == boot_id(_PROC):
        # The control server ends last: the raylet would wait for it before it ends.
        for spared in (_CONTROL_SERVER, ""):
            count += end(partial(_left, record, spared), grace_s=GRACE_S)
    shutil.rmtree(record.folder, ignore_errors=True)
    delete_record(state)
    return count


def _left(record: NodeRecord, spared: str) -> Sequence[ProcessKey]:
    return [key for key in members(record.session, record.processes, Path(record.folder)) if key.name != spared]


def _is_up(record: NodeRecord) -> bool:
    return record.boot_id == boot_id(_PROC) and alive(record.raylet)


def _alone(state: Path) -> AbstractContextManager[None]:
    """Hold the lock of this machine's node: one `up` or `down` at a time. Raises MachineError."""
    taken = MachineError("another `joulefleet node` is at work here.", cure="Wait for it to end.")
    return locked(state, "ray-node.lock", taken)


@contextmanager
def locked(state: Path, name: str, taken: MachineError) -> Iterator[None]:
    """Hold the lock file `name` of the state folder. Raises `taken` where another process holds it, or MachineError."""
    try:
        state.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(state / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _not_writable(state, error) from error
    try:
        if not try_lock(descriptor):
            raise taken
        yield
    finally:
        os.close(descriptor)


def _environment(tls: Tls | None) -> dict[str, str]:
    """Return the environment of all processes of the node, its agents too."""
    environment = settings.environment(os.environ) | {settings.NODE_VARIABLE: "1"} | (tls.environment() if tls else {})
    # It may name another cluster.
    environment.pop("RAY_ADDRESS", None)
    return environment


def _make_folder() -> Path:
    try:
        folder = Path(tempfile.mkdtemp(prefix="joulefleet-"))
    except OSError as error:
        raise MachineError(
            f"no folder can be made for the node ({error.strerror}).",
            cure="Set $TMPDIR to a folder that can be written.",
        ) from error
    try:
        check_folder(folder)
    except MachineError:
        folder.rmdir()
        raise
    return folder


def _not_writable(state: Path, error: OSError) -> MachineError:
    return MachineError(
        f"{state}: cannot be written ({error.strerror}).",
        cure="Give rights there, or name another folder in $JOULEFLEET_STATE.",
    )


def _not_started(log: Path) -> MachineError:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return MachineError(
        f"Ray did not start ({lines[-1][:200] if lines else 'without a message'}).",
        cure=f"Look at {log} and at the other logs in {log.parent}.",
    )
