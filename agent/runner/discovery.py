"""Discovery of the runners of other environments on this host: their sockets and their descriptions."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

import joulefleet
from agent.host.cgroup import read_cgroup_limits, usable_cpus
from agent.host.environment import read_environment
from agent.host.lock import host_folder
from agent.runner.protocol import Disconnected, LineSocket, ProtocolError, send_with_descriptor
from agent.runner.spawn import peer
from joulefleet.machine import Environment
from joulefleet.versions import PROTOCOL_VERSION

ANSWER_S = 5.0
"""Longest time in which a runner has to answer, seconds."""

UNSEEN = (
    "the runner's processes cannot be seen from the agent; run the agent where it sees all of the host's (Docker, "
    "Podman: --pid host; Compose: pid: host; Kubernetes: hostPID: true)"
)
"""Reason why a runner is refused if its processes have no ids in the agent's PID namespace."""


def runners_folder() -> Path:
    """Return the folder of the sockets of this host's runners."""
    return host_folder() / "runners"


def runner_socket(folder: Path, label: str) -> Path:
    """Return the path of the socket of the runner of the environment `label`."""
    return folder / f"{label}.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An environment in which an agent can run trials."""

    label: str
    cpus: int
    """Logical CPUs that the work may use; `threads: 0` means this many."""
    cpu_limit: float | None
    """CPU quota of the control group, CPUs; None where unlimited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerDescription:
    """What a runner reports about itself and its environment."""

    label: str
    versions: Mapping[str, str]
    cpus: int
    cpu_limit: float | None
    cache: tuple[int, int] | None
    """Device and inode of the cache folder, which are equal for two paths of one folder; None without the folder."""
    environment: Environment


_DESCRIPTION: TypeAdapter[RunnerDescription] = TypeAdapter(RunnerDescription)


def own_versions() -> dict[str, str]:
    """Return the versions that must be equal in agent and runner."""
    return {"joulefleet": joulefleet.__version__, "protocol": str(PROTOCOL_VERSION)}


def describe_own(label: str, cache: Path, *, sysfs_root: Path, proc_root: Path) -> RunnerDescription:
    """Return the description of a runner in this environment."""
    return RunnerDescription(
        label=label,
        versions=own_versions(),
        cpus=usable_cpus(sysfs_root, proc_root),
        cpu_limit=read_cgroup_limits(sysfs_root, proc_root).cpus,
        cache=_identity(cache),
        environment=read_environment(sysfs_root, proc_root),
    )


def description_json(description: RunnerDescription) -> dict[str, Any]:
    """Return `description` as JSON data."""
    data: dict[str, Any] = _DESCRIPTION.dump_python(description, mode="json")
    return data


def query_runner(path: Path) -> tuple[RunnerDescription, int]:
    """Return the description of the runner at `path`, and its process (0 where the agent cannot see it).

    Raises Disconnected where none answers, and ProtocolError where the answer is not to be trusted.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, Path(os.devnull).open("rb") as nothing:
        connection.settimeout(ANSWER_S)
        try:
            connection.connect(str(path))
            process, user = peer(connection)
            if user not in {0, os.geteuid()}:
                # Every user of the host could listen there.
                raise ProtocolError(f"it belongs to user {user}, and this agent trusts root and user {os.geteuid()}")
            # Every request has to come with a descriptor; this one needs none.
            send_with_descriptor(connection, {"do": "describe"}, nothing.fileno())
        except OSError as error:
            raise Disconnected(error.strerror or str(error)) from error
        answer = _next_line(LineSocket(connection))
    if "refused" in answer:
        raise ProtocolError(str(answer["refused"])[:200])
    try:
        return _DESCRIPTION.validate_python(answer), process
    except ValidationError as error:
        raise ProtocolError("it sent no description of itself") from error


def _next_line(lines: LineSocket) -> dict[str, Any]:
    ends = time.monotonic() + ANSWER_S
    while (line := lines.buffered()) is None:
        if time.monotonic() > ends:
            raise Disconnected(f"no complete answer within {ANSWER_S:.0f} s")
        lines.fill()
    return line


def offers(folder: Path, *, own: str, cache: Path, sysfs_root: Path, proc_root: Path) -> Iterator[Offer | str]:
    """Yield the environments in which an agent here can run trials, its own first, and why others cannot be used."""
    yield _offer(describe_own(own, cache, sysfs_root=sysfs_root, proc_root=proc_root))
    for path in sorted(folder.glob("*.sock")):
        label = path.stem
        if label == own:
            yield f"the runner at {path} is not used: the agent itself is in {own}"
            continue
        try:
            description, process = query_runner(path)
        except Disconnected as error:
            yield f"no runner answers at {path} ({error}); start it with: joulefleet runner {label}"
            continue
        except ProtocolError as error:
            yield f"the runner at {path} cannot be used: {error}"
            continue
        obstacle = _obstacle(description, process, cache)
        yield _offer(description) if obstacle is None else f"the runner of {label} cannot be used: {obstacle}"


def _obstacle(description: RunnerDescription, process: int, cache: Path) -> str | None:
    """Return why a runner that answered cannot be used, with the cure."""
    if dict(description.versions) != own_versions():
        runner, agent = (
            ", ".join(f"{name} {version}" for name, version in versions.items())
            for versions in (description.versions, own_versions())
        )
        return f"it has {runner}, the agent {agent}; use images of one version"
    if not process:
        return UNSEEN
    if description.cache is None or description.cache != _identity(cache):
        return f"it does not have the agent's cache at {cache}: mount the same folder there in both"
    return None


def _offer(description: RunnerDescription) -> Offer:
    return Offer(label=description.label, cpus=description.cpus, cpu_limit=description.cpu_limit)


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def environment_of_runner(folder: Path, label: str) -> Environment | None:
    """Return the environment record of the runner of `label`; None where it does not answer."""
    try:
        return query_runner(runner_socket(folder, label))[0].environment
    except (Disconnected, ProtocolError):
        return None
