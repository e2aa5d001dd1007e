"""The machines of tests/machines: text archives of parts of /sys, /proc and /etc, unpacked for tests.

tests/machines/README.md describes the format, and how to add a machine or edit one.
"""

from __future__ import annotations

import atexit
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

ARCHIVES = Path(__file__).parents[1] / "machines"

_SUFFIX = ".txt"


class Entry(NamedTuple):
    """One file, link or folder of an archive."""

    kind: Literal["file", "bytes", "link", "folder"]
    mode: int
    """Permission bits; of no meaning for a link."""
    path: str
    content: bytes
    """What the file holds, or where the link leads; empty for a folder."""


def machine_names() -> list[str]:
    """Return the names of all machines, sorted."""
    return sorted(archive.stem for archive in ARCHIVES.glob(f"*{_SUFFIX}"))


@cache
def unpacked(name: str) -> Path:
    """Return the folder of a machine that tests only read. It is unpacked once in a process."""
    # Kept until the process ends: tests name such folders in constants.
    folder = tempfile.TemporaryDirectory(prefix="joulefleet-machine-")
    atexit.register(folder.cleanup)
    return unpack_machine(name, Path(folder.name) / name)


def unpack_machine(name: str, folder: Path) -> Path:
    """Unpack a machine into `folder`, which is made, and return it."""
    unpack((ARCHIVES / f"{name}{_SUFFIX}").read_text(encoding="ascii"), folder)
    return folder


def unpack(archive: str, folder: Path) -> None:
    """Make the files, links and folders of `archive` in `folder`. Raises ValueError for a line it does not know."""
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    made = {folder}
    modes: list[tuple[Path, int]] = []
    for entry in read_archive(archive):
        path = folder / entry.path
        _make_folder(path if entry.kind == "folder" else path.parent, made)
        if entry.kind == "link":
            path.symlink_to(entry.content.decode())
            continue
        if entry.kind != "folder":
            path.write_bytes(entry.content)
        modes.append((path, entry.mode))
    # Last, and inner ones first: nothing can be made in a folder that is closed.
    for path, mode in reversed(modes):
        path.chmod(mode)


def read_archive(archive: str) -> list[Entry]:
    """Return the entries of an archive. Raises ValueError for a line it does not know."""
    entries: list[Entry] = []
    for number, line in enumerate(archive.split("\n"), start=1):
        if line.startswith("|") and entries:
            kind, mode, path, content = entries.pop()
            if kind == "bytes":
                content += line[1:].encode().decode("unicode_escape").encode("latin-1")
            else:
                content += f"{line[1:]}\n".encode()
            entries.append(Entry(kind, mode, path, content))
        elif line and not line.startswith("#"):
            entries.append(_header(number, line))
    return entries


def write_archive(folder: Path) -> str:
    """Return the archive of the files, the links, and the empty or closed folders in `folder`."""
    lines: list[str] = []
    for path in sorted(folder.rglob("*")):
        name, mode = path.relative_to(folder), path.lstat().st_mode & 0o7777
        if path.is_symlink():
            lines.append(f"link {name} -> {path.readlink()}")
        elif path.is_dir():
            # What others may do in a copied folder depends on the umask of the copy.
            if mode & 0o700 != 0o700 or not any(path.iterdir()):
                lines.append(f"folder {mode:04o} {name}")
        else:
            content = path.read_bytes()
            is_text = content.isascii() and content[-1:] in {b"", b"\n"} and b"\r" not in content
            printable = is_text and content.translate(None, b"\t\n").decode().isprintable()
            lines.append(f"{'file' if printable else 'bytes'} {mode:04o} {name}")
            if printable:
                lines += [f"|{line}" for line in content.decode().splitlines()]
            else:
                lines += [f"|{_escaped(line)}" for line in content.splitlines(keepends=True)]
    return "".join(f"{line}\n" for line in lines)


def _make_folder(folder: Path, made: set[Path]) -> None:
    if folder not in made:
        _make_folder(folder.parent, made)
        folder.mkdir()
        # Whatever the umask: other users read the trees in some tests.
        folder.chmod(0o755)
        made.add(folder)


def _header(number: int, line: str) -> Entry:
    kind, _, rest = line.partition(" ")
    if kind == "link" and " -> " in rest:
        path, _, target = rest.partition(" -> ")
        return Entry("link", 0o777, path, target.encode())
    mode, _, path = rest.partition(" ")
    if kind in {"file", "bytes", "folder"} and path and mode.isdecimal():
        return Entry(kind, int(mode, 8), path, b"")  # type: ignore[arg-type]  # the set above is that of the type
    raise ValueError(f"line {number}: {line!r} is neither an entry, nor content (|), nor a comment (#)")


def _escaped(content: bytes) -> str:
    return content.decode("latin-1").encode("unicode_escape").decode("ascii")


if __name__ == "__main__":
    sys.stdout.write(write_archive(Path(sys.argv[1])))
