"""The runners of other environments on this host, as an agent finds them: their sockets, and what they say."""

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
from agent.runner.protocol import Disconnected, LineSocket, Stranger, send_with_descriptor
from agent.runner.spawn import peer
from joulefleet.machine import Environment
from joulefleet.versions import PROTOCOL_VERSION

ANSWER_S = 5.0
"""A runner that says nothing for so long is none."""

UNSEEN = (
    "the runner's processes cannot be seen from the agent; run the agent where it sees all of the host's (Docker, "
    "Podman: --pid host; Compose: pid: host; Kubernetes: hostPID: true)"
)


def runners_folder() -> Path:
    """Where the sockets of this host's runners are."""
    return host_folder() / "runners"


def runner_socket(folder: Path, label: str) -> Path:
    """The socket of the runner of the environment `label`."""
    return folder / f"{label}.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An environment in which an agent can have work done."""

    label: str
    cpus: int
    """Logical CPUs that the work may use: what `threads: 0` means there."""
    cpu_limit: float | None
    """CPU seconds a second that the control group allows; None where unlimited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What a runner says of itself."""

    label: str
    versions: Mapping[str, str]
    cpus: int
    cpu_limit: float | None
    cache: tuple[int, int] | None
    """Device and number of the cache folder, by which two names of one folder are known; None where it is not there."""
    environment: Environment


_DESCRIBED: TypeAdapter[Described] = TypeAdapter(Described)


def own_versions() -> dict[str, str]:
    """What agent and runner must agree in."""
    return {"joulefleet": joulefleet.__version__, "protocol": str(PROTOCOL_VERSION)}


def describe_own(label: str, cache: Path, *, sysfs_root: Path, proc_root: Path) -> Described:
    """What a runner in this very environment says."""
    return Described(
        label=label,
        versions=own_versions(),
        cpus=usable_cpus(sysfs_root, proc_root),
        cpu_limit=read_cgroup_limits(sysfs_root, proc_root).cpus,
        cache=_identity(cache),
        environment=read_environment(sysfs_root, proc_root),
    )


def described_json(described: Described) -> dict[str, Any]:
    """As plain data, for the socket."""
    data: dict[str, Any] = _DESCRIBED.dump_python(described, mode="json")
    return data


def ask_runner(path: Path) -> tuple[Described, int]:
    """What the runner at `path` says, and its process (0 where it is not seen). Raises Disconnected, Stranger."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, Path(os.devnull).open("rb") as nothing:
        connection.settimeout(ANSWER_S)
        try:
            connection.connect(str(path))
            process, user = peer(connection)
            if user not in {0, os.geteuid()}:
                # Anybody could wait there, and say anything.
                raise Stranger(f"it is user {user}'s, and this agent believes root and user {os.geteuid()}")
            # Every request comes with a descriptor; this one has no use for it.
            send_with_descriptor(connection, {"do": "describe"}, nothing.fileno())
        except OSError as error:
            raise Disconnected(error.strerror or str(error)) from error
        said = _one_line(LineSocket(connection))
    if "refused" in said:
        raise Stranger(str(said["refused"])[:200])
    try:
        return _DESCRIBED.validate_python(said), process
    except ValidationError as error:
        raise Stranger("it sent no description of itself") from error


def _one_line(lines: LineSocket) -> dict[str, Any]:
    """The next line, all of it within the time."""
    ends = time.monotonic() + ANSWER_S
    while (said := lines.buffered()) is None:
        if time.monotonic() > ends:
            raise Disconnected("nothing whole in time")
        lines.fill()
    return said


def offers(folder: Path, *, own: str, cache: Path, sysfs_root: Path, proc_root: Path) -> Iterator[Offer | str]:
    """The environments that an agent here can have work done in, its own first; or why one cannot be used."""
    here = describe_own(own, cache, sysfs_root=sysfs_root, proc_root=proc_root)
    yield _offer(here)
    for path in sorted(folder.glob("*.sock")):
        label = path.stem
        if label == own:
            yield f"the runner at {path} is not used: {own} is where the agent itself is"
            continue
        try:
            found, process = ask_runner(path)
        except Disconnected as error:
            yield f"no runner answers at {path} ({error}); start it with: joulefleet runner {label}"
            continue
        except Stranger as error:
            yield f"the runner at {path} cannot be used: {error}"
            continue
        why = _why_not(found, process, cache)
        yield _offer(found) if why is None else f"the runner of {label} cannot be used: {why}"


def _why_not(found: Described, process: int, cache: Path) -> str | None:
    if dict(found.versions) != own_versions():
        theirs = ", ".join(f"{name} {version}" for name, version in found.versions.items())
        ours = ", ".join(f"{name} {version}" for name, version in own_versions().items())
        return f"it has {theirs}, the agent {ours}; use images of one version"
    if not process:
        return UNSEEN
    if found.cache is None or found.cache != _identity(cache):
        return f"it does not have the agent's cache at {cache}: mount one folder there in both"
    return None


def _offer(found: Described) -> Offer:
    return Offer(label=found.label, cpus=found.cpus, cpu_limit=found.cpu_limit)


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def environment_of_runner(folder: Path, label: str) -> Environment | None:
    """What was found in the environment `label`; None where its runner does not answer."""
    try:
        found, _ = ask_runner(runner_socket(folder, label))
    except (Disconnected, Stranger):
        return None
    return found.environment
