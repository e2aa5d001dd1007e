"""A journal of every start of a work process, by which leftover work of a dead agent is found and killed."""

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


def _start_time(pid: int) -> float | None:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        # The process ended at once: a sweep has nothing to kill.
        return None


class Journal:
    """The file `starts.jsonl` in the agent's state folder; a line is on disk before the work does anything.

    `epoch` is that of the coordinator that sent the trial; None without a coordinator.
    """

    def __init__(self, state: Path, *, epoch: int | None = None) -> None:
        self.path = state / "starts.jsonl"
        self._epoch = epoch

    def started(self, trial: Trial, pid: int) -> None:
        """Record that the work of `trial` runs as process `pid`. Raises OSError."""
        line = {
            "at": time.time(),
            "trial_id": trial.trial_id,
            "attempt_id": trial.attempt_id,
            "kind": trial.kind,
            "store_id": trial.store_id,
            "study": trial.study,
            "epoch": self._epoch,
            "pid": pid,
            "process_started": _start_time(pid),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        append_durably(self.path, json.dumps(line).encode() + b"\n")

    def sweep(self) -> list[int]:
        """Kill the work that an earlier agent left running, and return its process ids.

        Usually the kernel has killed it together with the agent. The caller must hold the host's lock, so that
        no work of another agent is killed.
        """
        killed = []
        for line in self._last_lines():
            with contextlib.suppress(psutil.Error, OSError, ValueError, KeyError, TypeError):
                entry = json.loads(line)
                process = psutil.Process(int(entry["pid"]))
                is_same = abs(process.create_time() - float(entry["process_started"])) < _TIME_SLACK_S
                if is_same and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                    process.send_signal(signal.SIGKILL)
                    process.wait(timeout=5)
                    killed.append(process.pid)
        return killed

    def _last_lines(self) -> list[bytes]:
        try:
            return self.path.read_bytes().splitlines()[-_LAST_STARTS:]
        except OSError:
            # Nothing was started yet; or the journal cannot be used at all, and the next `started` raises.
            return []
