import os
import subprocess
from pathlib import Path

import pytest

from agent.sensors.files import KeptFiles, integer, numbered


def test_numbered_folders_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """cpu10 comes after cpu9, and cpufreq is no CPU."""
    for name in ("cpu10", "cpu9", "cpu0", "cpufreq", "xcpu1"):
        (tmp_path / name).mkdir()
    assert [(index, path.name) for index, path in numbered(tmp_path, r"cpu(\d+)")] == [
        (0, "cpu0"),
        (9, "cpu9"),
        (10, "cpu10"),
    ]


def test_a_folder_that_is_not_there_has_no_entries(tmp_path: Path) -> None:
    """Nor has a file in its place."""
    (tmp_path / "file").touch()
    assert numbered(tmp_path / "none", r"cpu(\d+)") == []
    assert numbered(tmp_path / "file", r"cpu(\d+)") == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"42\n", 42),
        (b"-273000\n", -273_000),
        (b"0", 0),
        (b"", None),
        (b"\n", None),
        (None, None),
        (b"-", None),
        (b"+5\n", None),
        (b"1_000\n", None),
        (b"1.5\n", None),
        (b"<unknown>\n", None),
        (b"9" * 5000, None),
        (b"\xff5", None),
        ("٣".encode(), None),
    ],
)
def test_only_whole_decimal_numbers_are_numbers(field: bytes | None, value: int | None) -> None:
    """Anything else in a file is None, never 0 and never an error."""
    assert integer(field) == value


def test_a_kept_file_is_read_from_its_start_each_time(tmp_path: Path) -> None:
    """At most the given size, and always the present content."""
    (tmp_path / "counter").write_text("1234567\n")
    files = KeptFiles()
    assert files.add(tmp_path / "counter", size=4) is None
    assert files.read() == (b"1234",)
    (tmp_path / "counter").write_text("89\n")
    assert files.read() == (b"89\n",)
    files.close()


def test_a_file_that_cannot_be_opened_keeps_its_place(tmp_path: Path) -> None:
    """The values of the others must not move to its channel."""
    (tmp_path / "last").write_text("3\n")
    files = KeptFiles()
    assert isinstance(files.add(tmp_path / "none", size=8), FileNotFoundError)
    assert files.add(tmp_path / "last", size=8) is None
    assert files.read() == (None, b"3\n")
    files.close()


def test_a_read_that_fails_leaves_the_others(tmp_path: Path) -> None:
    """A file of a process in /proc fails once the process has ended."""
    (tmp_path / "other").write_text("3\n")
    files = KeptFiles()
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as process:
        files.add(Path(f"/proc/{process.pid}/statm"), size=8)
        files.add(tmp_path / "other", size=8)
        assert None not in files.read()
        process.communicate()
    assert files.read() == (None, b"3\n")
    files.close()


def test_a_closed_file_is_not_read_though_its_number_is_in_use_again(tmp_path: Path) -> None:
    """The system gives the lowest free number to the next file that is opened."""
    (tmp_path / "counter").write_text("1\n")
    files = KeptFiles()
    files.add(tmp_path / "counter", size=8)
    files.close()
    other = os.open(tmp_path / "counter", os.O_RDONLY)
    assert files.read() == (None,)
    files.close()
    assert os.read(other, 8) == b"1\n"
    os.close(other)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """It may be in the place of a counter, and have no writer."""
    os.mkfifo(tmp_path / "pipe")
    files = KeptFiles()
    files.add(tmp_path / "pipe", size=8)
    assert files.read() == (None,)
    files.close()
