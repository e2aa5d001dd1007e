"""The journal of starts, and the sweep of leftover work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil

from agent.state.journal import Journal
from tests.support.tiny_trials import tiny_trial


def test_a_start_is_one_line_that_stays(tmp_path: Path) -> None:
    """Lines are only appended."""
    journal = Journal(tmp_path / "state", epoch=7)
    pid = psutil.Process().pid
    journal.started(tiny_trial(), pid)
    first = journal.path.read_bytes()
    journal.started(tiny_trial(attempt=2), pid)
    lines = journal.path.read_bytes()
    assert lines.startswith(first)
    assert [json.loads(line)["attempt_id"][-2:] for line in lines.splitlines()] == ["a1", "a2"]
    assert {json.loads(line)["epoch"] for line in lines.splitlines()} == {7}


def test_the_sweep_ends_work_that_was_left_running(tmp_path: Path) -> None:
    """Leftover work would disturb the next measurement."""
    left = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    journal = Journal(tmp_path)
    journal.started(tiny_trial(), left.pid)
    assert journal.sweep() == [left.pid]
    assert not psutil.pid_exists(left.pid)
    left.wait()


def test_the_sweep_spares_a_process_that_only_has_the_same_id(tmp_path: Path) -> None:
    """Process ids are reused: a process with another start time is another process."""
    journal = Journal(tmp_path)
    other = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    journal.started(tiny_trial(), other.pid)
    entry = json.loads(journal.path.read_text())
    entry["process_started"] -= 3600
    journal.path.write_text(json.dumps(entry) + "\nnot json\n")
    assert journal.sweep() == []
    assert other.poll() is None
    other.kill()
    other.wait()
