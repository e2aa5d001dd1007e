"""Work that sends the marks of a script, in a process of its own. A mark `pause` is not sent: the work waits there."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.runner.conversation import Conversation
from agent.runner.pool import RunnerPool
from agent.runner.protocol import Disconnected, LineSocket
from joulefleet.measurement import WorkDone

Mark = dict[str, Any]

_WORK = """
import json, os, signal, socket, sys
lines = socket.socket(fileno=int(sys.argv[1])).makefile("rw")
print("output of the work", flush=True)
for mark in json.loads(sys.argv[2]):
    if mark["mark"] == "pause":
        signal.pause()
    lines.write(json.dumps(mark) + chr(10))
    lines.flush()
    if mark["mark"] not in ("done", "exit", "error") and not lines.readline():
        os._exit(3)
"""

FACTS = WorkDone(
    items=4,
    tokens=100,
    padded_tokens=120,
    work_ns=1_000_000,
    threads=1,
    nice=0,
    cpus=(0,),
    oom_score_adj=0,
    omp_num_threads="1",
    privileges="none",
    parameters=1000,
    model_class="Scripted",
    attention="eager",
    blas="none",
)
"""What scripted work reports, of one pass."""


def script(**changes: Any) -> list[Mark]:
    """Return the marks of work that ends well; `changes` are facts, and a fact that is None is left out."""
    facts = {name: getattr(FACTS, name) for name in FACTS.__slots__} | {
        "latencies_ns": [100_000, 300_000, 200_000],
        "labels": None,
        "predictions": None,
    }
    facts = {name: value for name, value in (facts | changes).items() if name not in changes or value is not None}
    marks: list[Mark] = [{"mark": name} for name in ("hello", "items", "loaded")]
    marks += [{"mark": "warmed", "passes": 3, "seconds": 0.5}, {"mark": "open"}, {"mark": "closed"}]
    return [*marks, {"mark": "done", **facts}, {"mark": "exit", "returncode": 0}]


def until(marks: Sequence[Mark], name: str) -> list[Mark]:
    """Return the marks before the one called `name`."""
    return list(marks[: [mark["mark"] for mark in marks].index(name)])


@dataclass(kw_only=True)
class ScriptedServer:
    """A fork server whose work follows `marks`; by default the work is below this very process."""

    marks: Sequence[Mark]
    root_pid: int = field(default_factory=os.getpid)
    work: subprocess.Popen[bytes] | None = None
    requests: list[Mark] = field(default_factory=list)

    def request(self, request: Mark) -> Conversation:
        """See `ForkServer.request`."""
        self.requests.append(request)
        agent, worker = socket.socketpair()
        agent.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        output = os.memfd_create("output")
        with worker:
            self.work = subprocess.Popen(
                [sys.executable, "-c", _WORK, str(worker.fileno()), json.dumps(self.marks)],
                pass_fds=[worker.fileno()],
                stdout=output,
            )
        return Conversation(LineSocket(agent), output)

    def wait_ready(self, _model_type: str) -> None:
        """See `ForkServer.wait_ready`."""

    def close(self) -> None:
        """End the work."""
        if self.work is not None:
            self.work.kill()
            self.work.wait()


class ScriptedPool(RunnerPool):
    """A pool of one scripted fork server; without one no runner can be reached."""

    def __init__(self, server: ScriptedServer | None, *, own: str = "bare", folder: Path | None = None) -> None:
        super().__init__(own=own, folder=folder)
        self.server = server
        self.discarded = 0

    def fork_server(self, *, environment: str, threads: int, cold: bool) -> Any:
        """See `RunnerPool.fork_server`."""
        del threads, cold
        if self.server is None:
            raise Disconnected(f"no runner of {environment}")
        return self.server

    def discard(self) -> None:
        """See `RunnerPool.discard`."""
        self.discarded += 1
        if self.server is not None:
            self.server.close()
