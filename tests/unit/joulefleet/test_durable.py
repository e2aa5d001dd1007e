import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from joulefleet.durable import append_durably, write_durably


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """Make a disk that is full after `size` bytes of a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_is_complete_and_alone(tmp_path: Path) -> None:
    """The file holds the data, and nothing is left beside it."""
    write_durably(tmp_path / "a.parquet", b"data")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.parquet": b"data"}


def test_writing_again_replaces_the_file(tmp_path: Path) -> None:
    """The rename puts the new file in the place of the old one."""
    write_durably(tmp_path / "format.json", b"a longer old one")
    write_durably(tmp_path / "format.json", b"new")
    assert (tmp_path / "format.json").read_bytes() == b"new"


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    """A file that cannot be written completely is not written at all."""
    write_durably(tmp_path / "a.parquet", b"old")
    with no_file_longer_than(100), pytest.raises(OSError, match="File too large"):
        write_durably(tmp_path / "a.parquet", b"x" * 1000)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.parquet": b"old"}


def test_a_missing_folder_is_an_os_error(tmp_path: Path) -> None:
    """The caller makes an error of ours of it."""
    with pytest.raises(FileNotFoundError):
        write_durably(tmp_path / "none" / "a.parquet", b"data")


def test_a_writer_killed_half_way_leaves_no_visible_file(tmp_path: Path) -> None:
    """The kernel ends the process in the middle of its write, and only a hidden temporary file is left."""
    program = (
        "import resource, signal, sys; from pathlib import Path; from joulefleet.durable import write_durably\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_DFL); resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); write_durably(Path(sys.argv[1]), b'x' * 1000)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.parquet")], check=False)
    assert done.returncode == -signal.SIGXFSZ
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [100]
    assert list(tmp_path.glob("*.parquet")) == []


def test_lines_are_appended_in_order(tmp_path: Path) -> None:
    """A file keeps its earlier lines, and is created where there is none."""
    journal = tmp_path / "journal"
    append_durably(journal, b"one\n")
    append_durably(journal, b"two\n")
    assert journal.read_bytes() == b"one\ntwo\n"


def test_a_line_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    """The kernel writes the part that fits and reports success; the caller must know that the line is cut."""
    journal = tmp_path / "journal"
    append_durably(journal, b"one\n")
    with no_file_longer_than(6), pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        append_durably(journal, b"two\n")
    assert journal.read_bytes().startswith(b"one\n")
