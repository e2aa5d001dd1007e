import os
from pathlib import Path

import pytest

from agent.host.files import count, kib, number, number_in, table, text, whole_number


def test_text_is_stripped_and_none_where_there_is_none(tmp_path: Path) -> None:
    """An empty file, a missing one and a folder are None."""
    (tmp_path / "full").write_text(" schedutil \n")
    (tmp_path / "empty").write_text("\n")
    assert text(tmp_path / "full") == "schedutil"
    assert text(tmp_path / "empty") is None
    assert text(tmp_path / "nowhere") is None
    assert text(tmp_path) is None
    assert text(tmp_path / "nul\0") is None


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """It may have no writer, or one that writes nothing."""
    os.mkfifo(tmp_path / "pipe")
    assert text(tmp_path / "pipe") is None
    silent = os.open(tmp_path / "pipe", os.O_RDWR | os.O_NONBLOCK)
    assert text(tmp_path / "pipe") is None
    os.close(silent)


def test_a_file_is_read_to_its_end_and_to_4_mib_at_most(tmp_path: Path) -> None:
    """Cpuinfo of 512 CPUs has 0.7 MB; a device may have no end."""
    (tmp_path / "file").write_text("x" * 3_000_000 + "y" * 3_000_000)
    content = text(tmp_path / "file") or ""
    assert len(content) == 4 << 20
    assert (content[2_999_999], content[3_000_000]) == ("x", "y")
    assert text(Path("/dev/zero")) is None
    assert len((text(Path("/proc/self/status")) or "").splitlines()) > 20


@pytest.mark.parametrize(
    ("written", "expected"),
    [("42\n", 42), ("-1\n", -1), ("--1", None), ("1_0", None), ("4.2", None), ("max", None), ("9" * 5000, None)],
)
def test_only_a_whole_number_is_a_number(tmp_path: Path, written: str, expected: int | None) -> None:
    """Letters, fractions and endless digits are None, and never raise."""
    (tmp_path / "file").write_text(written)
    assert number(tmp_path / "file") == expected


def test_a_table_keeps_the_first_of_a_repeated_key(tmp_path: Path) -> None:
    """Cpuinfo repeats its keys for each CPU."""
    (tmp_path / "file").write_text("model name\t: A\nmodel name\t: B\nno separator\n")
    assert table(tmp_path / "file") == {"model name": "A"}
    assert number_in(tmp_path / "file", "model name") is None


@pytest.mark.parametrize("digits", ["9" * 33, "9" * 5000, "", "-", "--1", "+5", "1_000", "1.5", "٣", "²"])
def test_digits_without_end_and_words_are_no_number(tmp_path: Path, digits: str) -> None:
    """This holds for text, and for the values of a table."""
    (tmp_path / "file").write_text(f"oom_kill {digits}\n")
    assert whole_number(digits) is None
    assert count(digits) is None
    assert number_in(tmp_path / "file", "oom_kill", separator=" ") is None
    assert kib(f"{digits} kB") is None


def test_a_count_is_never_below_0() -> None:
    """A negative value is a whole number, but no count."""
    assert (whole_number("-5"), count("-5"), kib("-5 kB")) == (-5, None, None)
    assert (whole_number("0"), count("18446744073709551615")) == (0, 2**64 - 1)


@pytest.mark.parametrize(("value", "expected"), [("12 kB", 12288), ("12", 12288), ("many kB", None), (None, None)])
def test_kib_are_bytes(value: str | None, expected: int | None) -> None:
    """The kernel's kB is 1024 bytes."""
    assert kib(value) == expected
