"""The host's lock: one trial at a time on a machine."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.host.lock import HOST_FOLDER, HOST_FOLDER_VARIABLE, host_folder, host_lock, lock_folders
from joulefleet.errors import BusyError, MachineError

ROOT = Path(__file__).parents[4]


def test_a_second_holder_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    """The agent reports a busy machine at once instead of waiting."""
    with (
        host_lock((tmp_path,), holder="study one"),
        pytest.raises(MachineError, match="busy: study one"),
        host_lock((tmp_path,), holder="study two"),
    ):
        pass


def test_the_lock_is_free_again_afterwards(tmp_path: Path) -> None:
    """The next trial can run after any trial, also after a failed one."""
    with pytest.raises(RuntimeError), host_lock((tmp_path,), holder="study one"):
        raise RuntimeError
    with host_lock((tmp_path,), holder="study two"):
        pass


def test_a_folder_that_cannot_be_used_is_named_with_the_cure(tmp_path: Path) -> None:
    """A lock that cannot be opened is an error, not a trial without a lock."""
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match=HOST_FOLDER_VARIABLE), host_lock((tmp_path / "file",), holder="study"):
        pass


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    """In a folder that everyone can write, a link could lead to any file."""
    (tmp_path / "target").write_text("precious")
    (tmp_path / "joulefleet.lock").symlink_to(tmp_path / "target")
    with pytest.raises(MachineError), host_lock((tmp_path,), holder="study"):
        pass
    assert (tmp_path / "target").read_text() == "precious"


def test_the_folder_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Containers of one host share a folder by this variable."""
    monkeypatch.setenv(HOST_FOLDER_VARIABLE, str(tmp_path))
    assert lock_folders() == (tmp_path,)


def test_every_folder_is_locked(tmp_path: Path) -> None:
    """An agent that can use one folder meets there the agent that uses both. A busy folder leaves the others free."""
    one, other = tmp_path / "one", tmp_path / "other"
    with host_lock((one, other), holder="both"):
        for folder in (one, other):
            with pytest.raises(BusyError, match="both"), host_lock((folder,), holder="either"):
                pass
    with host_lock((other,), holder="either"):
        with pytest.raises(BusyError, match="either"), host_lock((one, other), holder="both"):
            pass
        with host_lock((one,), holder="left free"):
            pass


def test_a_lock_file_that_was_removed_is_locked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the file is removed between opening and locking, the next agent would lock a new file."""
    lock = tmp_path / "joulefleet.lock"
    real = fcntl.flock
    removed: list[int] = []

    def flock(descriptor: int, operation: int) -> None:
        if not removed:
            lock.unlink()
            removed.append(descriptor)
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with host_lock((tmp_path,), holder="one"), pytest.raises(BusyError), host_lock((tmp_path,), holder="two"):
        pass


def test_on_a_full_disk_the_lock_holds_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name in the file is only for messages."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with (
        host_lock((tmp_path,), holder="one"),
        pytest.raises(BusyError, match="another agent"),
        host_lock((tmp_path,), holder="two"),
    ):
        pass


def test_the_shared_folder_is_the_default_one_unless_named() -> None:
    """Agents and runners of a host must agree on it."""
    assert host_folder({}) == HOST_FOLDER
    assert host_folder({HOST_FOLDER_VARIABLE: "/srv/shared"}) == Path("/srv/shared")


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    """A crashed agent must not block its machine until somebody removes a file."""
    program = (
        "import sys; from pathlib import Path; from agent.host.lock import host_lock\n"
        "with host_lock((Path(sys.argv[1]),), holder='killed'): print('locked', flush=True); input()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(BusyError, match=f"killed .process {process.pid}."), host_lock((tmp_path,), holder="next"):
            pass
        process.kill()
    with host_lock((tmp_path,), holder="next"):
        pass
