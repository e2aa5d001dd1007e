import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from coordinator.cluster.ray.node.processes import alive, end, members, process, session

IDLE = [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)",
]


def started(command: list[str]) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, and wait until it runs."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdout is not None
    child.stdout.readline()
    return child


def test_a_process_is_known_by_its_id_and_its_start() -> None:
    """Its id may later belong to another process."""
    found = process(os.getpid())
    assert found is not None
    assert alive(found.key)
    assert not alive(replace(found.key, started=found.key.started + 1))


def test_a_process_that_has_ended_and_was_not_reaped_is_not_alive() -> None:
    """Where nothing reaps them, the processes of a node stay in the table after their end."""
    child = started(IDLE)
    found = process(child.pid)
    assert found is not None
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not alive(found.key)
    assert session(child.pid) == []
    child.communicate()


def test_a_process_that_ignores_sigterm_is_killed_after_the_grace() -> None:
    """One that obeys is not killed."""
    obeys, ignores = started(IDLE), started(STUBBORN)
    sessions = (obeys.pid, ignores.pid)
    count = end(lambda: [key for number in sessions for key in session(number)], grace_s=0.5)
    assert count == 2
    obeys.communicate()
    ignores.communicate()
    assert (obeys.returncode, ignores.returncode) == (-signal.SIGTERM, -signal.SIGKILL)


def test_once_the_known_ones_are_gone_a_session_counts_by_what_it_writes_into(tmp_path: Path) -> None:
    """The number of the session may then belong to another session."""
    with (tmp_path / "log").open("wb") as log:
        child = subprocess.Popen(IDLE, stdout=log, start_new_session=True)
    stranger = started(IDLE)
    try:
        assert [key.pid for key in members(child.pid, [], tmp_path)] == [child.pid]
        assert members(stranger.pid, [], tmp_path) == []
        found = process(stranger.pid)
        assert found is not None
        assert members(stranger.pid, [found.key], tmp_path) == [found.key]
    finally:
        for one in (child, stranger):
            one.kill()
            one.communicate()
