from pathlib import Path

import pytest

from agent.sensors.files import integer, numbered


def test_numbered_folders_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """cpu10 stands after cpu9, and cpufreq is no CPU."""
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
    """Whatever else a file holds is None, never 0 and never an error."""
    assert integer(field) == value
