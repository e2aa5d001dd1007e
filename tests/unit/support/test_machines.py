from pathlib import Path

import pytest

from tests.support.machines import (
    ARCHIVES,
    machine_names,
    read_archive,
    unpack,
    unpack_machine,
    unpacked,
    write_archive,
)

ARCHIVE = r"""# A comment.
file 0400 sys/energy_uj
|12

file 0644 sys/two-lines
|one
|
bytes 0644 sys/letters
|\x00\xff\\
|\n|
file 0000 sys/empty
link sys/link -> ../nowhere -> else
folder 0500 sys/closed
"""


def test_text_bytes_links_and_modes_are_unpacked_exactly(tmp_path: Path) -> None:
    """The tests of permissions and of garbage depend on each of them."""
    root = tmp_path / "machine"
    unpack(ARCHIVE, root)
    sys = root / "sys"
    assert (sys / "energy_uj").read_bytes() == b"12\n"
    assert (sys / "two-lines").read_bytes() == b"one\n\n"
    assert (sys / "letters").read_bytes() == b"\x00\xff\\\n|"
    assert (sys / "link").readlink() == Path("../nowhere -> else")
    assert (sys / "empty").stat().st_size == 0
    modes = {path.name: path.lstat().st_mode & 0o777 for path in sys.iterdir() if not path.is_symlink()}
    assert modes == {"energy_uj": 0o400, "two-lines": 0o644, "letters": 0o644, "empty": 0, "closed": 0o500}


@pytest.mark.parametrize("name", machine_names())
def test_an_unpacked_machine_makes_the_same_archive_again(tmp_path: Path, name: str) -> None:
    """Nothing of a machine is lost on the way, whatever its files hold."""
    archive = (ARCHIVES / f"{name}.txt").read_text()
    comments = "".join(line for line in archive.splitlines(keepends=True) if line.startswith("#"))
    assert comments
    assert comments + write_archive(unpack_machine(name, tmp_path / name)) == archive


@pytest.mark.parametrize("line", ["device 0644 dev/null", "file rw x", "file 0644", "link x", "0644 x"])
def test_a_line_that_is_no_entry_is_refused(line: str) -> None:
    """Passed over, it would leave a machine without one of its files."""
    with pytest.raises(ValueError, match="line 2"):
        read_archive(f"# comment\n{line}\n")


def test_content_before_the_first_entry_is_refused() -> None:
    """It would belong to no file."""
    with pytest.raises(ValueError, match="line 1"):
        read_archive("|12\n")


def test_a_machine_that_is_only_read_is_unpacked_once() -> None:
    """All tests of a process share it."""
    assert unpacked("wraps") is unpacked("wraps")
    assert [path.name for path in unpacked("wraps").iterdir()] == ["sys"]
