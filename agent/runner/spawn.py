"""The command and variables of a fork server, and the process at the other end of a socket."""

from __future__ import annotations

import os
import socket
import struct
import sys
from pathlib import Path

from agent.host.cgroup import usable_cpus

_CREDENTIALS = struct.Struct("iII")
"""struct ucred of unix(7): process, user, group."""

ANCILLARY_BYTES = socket.CMSG_SPACE(_CREDENTIALS.size)
"""Size of the buffer for the credentials of a message, bytes."""


def fork_server_command(descriptor: int) -> list[str]:
    """Return the command of a fork server that listens at the inherited socket `descriptor`."""
    return [sys.executable, "-m", "agent.runner.forkserver", "--listen-fd", str(descriptor)]


def fork_server_environment(threads: int) -> dict[str, str]:
    """Return the variables of a fork server: those of this process, every thread setting explicit, none of Ray's."""
    count = str(threads or usable_cpus())
    keep = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "OMP_", "MKL_", "KMP_"))}
    # The work must import these very packages, whatever the agent's working folder is.
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
    """Return process and user at the other end of a connection; process 0 where it cannot be seen from here."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    process, user, _ = _CREDENTIALS.unpack(credentials)
    return process, user


def sent_by(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """Return the process in the credentials of a message; None without credentials, or where it cannot be seen."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            process, _, _ = _CREDENTIALS.unpack(data[: _CREDENTIALS.size])
            return process or None
    return None
