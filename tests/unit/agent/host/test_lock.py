"""One trial a machine."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from agent.host.lock import HOST_FOLDER_VARIABLE, host_lock, lock_folders
from joulefleet.errors import BusyError, MachineError


def test_a_second_holder_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    """A busy machine is reported at once, not waited for in silence."""
    with (
        host_lock((tmp_path,), holder="study one"),
        pytest.raises(MachineError, match="busy: study one"),
        host_lock((tmp_path,), holder="study two"),
    ):
        pass


def test_the_lock_is_free_again_afterwards(tmp_path: Path) -> None:
    """After the trial, and after one that failed, the next can run."""
    with pytest.raises(RuntimeError), host_lock((tmp_path,), holder="study one"):
        raise RuntimeError
    with host_lock((tmp_path,), holder="study two"):
        pass


def test_a_folder_that_cannot_be_used_is_named_with_the_cure(tmp_path: Path) -> None:
    """A lock that cannot be opened is an error with a cure, not a trial without a lock."""
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match=HOST_FOLDER_VARIABLE), host_lock((tmp_path / "file",), holder="study"):
        pass


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    """In a folder that all may write, a link could name any file."""
    (tmp_path / "target").write_text("precious")
    (tmp_path / "joulefleet.lock").symlink_to(tmp_path / "target")
    with pytest.raises(MachineError), host_lock((tmp_path,), holder="study"):
        pass
    assert (tmp_path / "target").read_text() == "precious"


def test_the_folder_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Containers of one host share a folder by naming it."""
    monkeypatch.setenv(HOST_FOLDER_VARIABLE, str(tmp_path))
    assert lock_folders() == (tmp_path,)


def test_every_folder_is_locked(tmp_path: Path) -> None:
    """Who can use one of them alone meets there who uses both; one that is busy leaves the others free."""
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


def test_a_lock_that_was_tidied_away_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening and locking somebody removes the file: the next agent would lock another one."""
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
    """What is written into it is for people."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with (
        host_lock((tmp_path,), holder="one"),
        pytest.raises(BusyError, match="another agent"),
        host_lock((tmp_path,), holder="two"),
    ):
        pass
