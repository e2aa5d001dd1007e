"""An append-only journal of every start of a work process, and the sweep of what a dead agent left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import psutil

from joulefleet.durable import append_durably
from joulefleet.plan.trial import Trial

_LAST_STARTS = 50
_TIME_SLACK_S = 1.0


def _started(pid: int) -> float | None:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        # It ended at once: there is nothing left for a sweep to find.
        return None


class Journal:
    """`starts.jsonl` in the agent's state folder. A line is on disk before the work does anything.

    `epoch` is that of the coordinator who ordered it; None where nobody coordinates.
    """

    def __init__(self, state: Path, *, epoch: int | None = None) -> None:
        self.path = state / "starts.jsonl"
        self._epoch = epoch

    def started(self, trial: Trial, pid: int) -> None:
        """Note that `trial`'s work runs as `pid`. Raises OSError."""
        line = {
            "at": time.time(),
            "trial_id": trial.trial_id,
            "attempt_id": trial.attempt_id,
            "kind": trial.kind,
            "store_id": trial.store_id,
            "study": trial.study,
            "epoch": self._epoch,
            "pid": pid,
            "process_started": _started(pid),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        append_durably(self.path, json.dumps(line).encode() + b"\n")

    def sweep(self) -> list[int]:
        """Kill work that an earlier agent left running. Returns the process ids.

        The kernel does it when the agent dies; this is for where it could not. Only call it with
        the host's lock held: another agent's work is not ours to kill.
        """
        killed = []
        for line in self._last_lines():
            with contextlib.suppress(psutil.Error, OSError, ValueError, KeyError, TypeError):
                entry = json.loads(line)
                process = psutil.Process(int(entry["pid"]))
                same = abs(process.create_time() - float(entry["process_started"])) < _TIME_SLACK_S
                if same and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                    process.send_signal(signal.SIGKILL)
                    process.wait(timeout=5)
                    killed.append(process.pid)
        return killed

    def _last_lines(self) -> list[bytes]:
        try:
            return self.path.read_bytes().splitlines()[-_LAST_STARTS:]
        except FileNotFoundError:
            return []
