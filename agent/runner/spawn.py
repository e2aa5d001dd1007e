"""How a host is started, by an agent or by a runner; and who is at the other end of a socket."""

from __future__ import annotations

import os
import socket
import struct
import sys
from pathlib import Path

from agent.host.cgroup import usable_cpus

_CREDENTIALS = struct.Struct("iII")
"""struct ucred of unix(7): process, user, group."""


def host_command(descriptor: int) -> list[str]:
    """The command of a host that listens at the inherited socket `descriptor`."""
    return [sys.executable, "-m", "agent.runner.forkserver", "--listen-fd", str(descriptor)]


def host_environment(threads: int) -> dict[str, str]:
    """The environment of the work: this process's own, with every thread setting explicit and nothing of Ray's."""
    count = str(threads or usable_cpus())
    keep = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "OMP_", "MKL_", "KMP_"))}
    # The work must import these very packages, wherever the agent was started.
    root = str(Path(__file__).resolve().parents[2])
    return keep | {
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "OMP_DYNAMIC": "FALSE",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": os.pathsep.join(filter(None, [root, keep.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
    }


def peer(connection: socket.socket) -> tuple[int, int]:
    """Process and user at the other end, or that listens there; process 0 where this one cannot see it."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    process, user, _ = _CREDENTIALS.unpack(found)
    return process, user


def sent_by(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """The process in the credentials that came with a message; None where there are none, or it is not seen here."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            process, _, _ = _CREDENTIALS.unpack(data[: _CREDENTIALS.size])
            return process or None
    return None


ANCILLARY_BYTES = socket.CMSG_SPACE(_CREDENTIALS.size)
