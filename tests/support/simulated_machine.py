"""Running a simulated machine during a test."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.simulation.tree import TRUTH

ENDS_WITHIN_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSimulation:
    """A simulated machine that runs: the folder of its files, and its process."""

    root: Path
    pid: int

    @property
    def truth(self) -> Path:
        """Path of the log of its true energy."""
        return self.root / TRUTH


@contextmanager
def simulated_machine(root: Path, *options: str) -> Iterator[LiveSimulation]:
    """Run `python -m agent.simulation` with these options, from when it is ready until the `with` block ends."""
    command = [sys.executable, "-m", "agent.simulation", "--root", str(root), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            printed = list(_until_ready(process))
            assert printed[-1:] == ["ready"], (printed, process.stderr.read() if process.stderr else "")
            yield LiveSimulation(root=root, pid=process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=ENDS_WITHIN_S) == 0


def _until_ready(process: subprocess.Popen[str]) -> Iterator[str]:
    for line in process.stdout or ():
        yield line.rstrip("\n")
        if line == "ready\n":
            return
