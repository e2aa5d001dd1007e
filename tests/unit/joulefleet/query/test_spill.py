"""Folders in which queries spill, and the removal of those that killed processes left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from joulefleet.query import Store
from joulefleet.query.spill import SpillFolder, sweep
from tests.support.attempt_rows import attempt_row, write_store

KEEPS_OPEN = """
import sys
from joulefleet.query import Store
store = Store.open(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


def left_behind(parent: Path) -> Path:
    """Make a spill folder with a file in it, whose process has ended."""
    folder = SpillFolder.make(parent)
    (folder.path / "spilled").write_bytes(b"much")
    os.close(folder._descriptor)
    return folder.path


def test_what_a_gone_process_left_is_swept(tmp_path: Path) -> None:
    """Its content is removed too, also where the process was killed before it had a lock."""
    left = left_behind(tmp_path)
    empty = tmp_path / "joulefleet-query-abcd_123"
    empty.mkdir()
    sweep(tmp_path)
    assert not left.exists()
    assert not empty.exists()


def test_what_is_in_use_stays(tmp_path: Path) -> None:
    """The folder belongs to this process."""
    folder = SpillFolder.make(tmp_path)
    sweep(tmp_path)
    assert folder.path.is_dir()
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    """Similar names of a user, links, files, and folders with content and no lock are left alone."""
    left = left_behind(tmp_path)
    names = ("joulefleet-results", "joulefleet-query-", "joulefleet-query-abcdefghi", "joulefleet-query-ABCDEFGH")
    for name in names:
        (tmp_path / name).mkdir()
    (tmp_path / "joulefleet-query-linked_1").symlink_to(tmp_path / "joulefleet-results")
    (tmp_path / "joulefleet-query-file_123").write_text("mine")
    full = tmp_path / "joulefleet-query-full_123"
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    before = set(tmp_path.iterdir())
    sweep(tmp_path)
    assert set(tmp_path.iterdir()) == before - {left}


def test_opening_and_sweeping_at_once_do_each_other_no_harm(tmp_path: Path) -> None:
    """A sweep never removes a folder that `make` has returned."""
    over = threading.Event()

    def sweep_on() -> None:
        while not over.is_set():
            sweep(tmp_path)

    threads = [threading.Thread(target=sweep_on) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(200):
            folder = SpillFolder.make(tmp_path)
            (folder.path / "spilled").write_bytes(b"")
            assert (folder.path / "lock").exists()
            folder.remove()
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert list(tmp_path.iterdir()) == []


def test_the_next_opening_sweeps_after_a_killed_process(tmp_path: Path) -> None:
    """The folder of a process stays while it lives, and the next opening after its death removes it."""
    store = write_store(tmp_path / "s", [attempt_row()])
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary)}
    command = [sys.executable, "-c", KEEPS_OPEN, str(store)]
    opens_and_leaves = [sys.executable, "-m", "coordinator", "sql", "--store", str(store), "select 1"]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        (used,) = temporary.iterdir()
        (used / "spilled").write_bytes(b"10 GB")
        subprocess.run(opens_and_leaves, env=environment, check=True, stdout=subprocess.DEVNULL)
        assert list(temporary.iterdir()) == [used]
        process.send_signal(signal.SIGKILL)
    subprocess.run(opens_and_leaves, env=environment, check=True, stdout=subprocess.DEVNULL)
    assert list(temporary.iterdir()) == []


def test_a_closed_store_leaves_no_folder(tmp_path: Path) -> None:
    """The folder exists while the store is open."""
    with Store.open(write_store(tmp_path / "s", [])) as store:
        (folder,) = store.sql("select current_setting('temp_directory')").fetchall()[0]
        assert Path(folder).is_dir()
    assert not Path(folder).exists()
