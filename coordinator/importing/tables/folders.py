"""The folders of a package of data, and what the mapping's rules say of each."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from coordinator.importing.mapping.spec import FolderRule
from coordinator.importing.problems import Complaints, quoted

MOST_FOLDERS = 1_000_000
"""A folder of more is somebody's home, not a package of data."""

_FACTS = ("model", "task", "machine", "batch_size", "threads", "dtype", "items")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """What lies in one folder: names of files and of folders."""

    files: frozenset[str]
    folders: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderFacts:
    """What the rules say of the runs of one folder."""

    model: str | None = None
    task: str | None = None
    machine: str | None = None
    batch_size: int | None = None
    threads: int | None = None
    dtype: str | None = None
    items: int | None = None
    labels: dict[str, str] = field(default_factory=dict)


def walk(root: Path, complaints: Complaints) -> dict[str, Entries]:
    """Every folder in `root`, itself among them, by its relative path. Links to folders are no folders."""
    found: dict[str, Entries] = {}

    def refused(error: OSError) -> None:
        complaints.add(str(error.filename), f"cannot be read ({error.strerror}); check its rights.")

    for path, folders, files in os.walk(root, onerror=refused):
        if not _is_text(path):
            complaints.add(ascii(path), "its name is not UTF-8; rename it.")
            folders.clear()
            continue
        if len(found) >= MOST_FOLDERS:
            complaints.add(root, f"more than {MOST_FOLDERS} folders; name the folder of the data alone.")
            break
        folders.sort(key=natural)
        folders[:] = [name for name in folders if not os.path.islink(f"{path}/{name}")]  # noqa: PTH114 - many of them
        found[Path(path).relative_to(root).as_posix()] = Entries(files=frozenset(files), folders=frozenset(folders))
    return found


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts run_2 before run_10."""
    parts = re.split(r"([0-9]+)", name)
    return tuple((0, int(part), "") if index % 2 else (1, 0, part) for index, part in enumerate(parts))


def natural_path(path: str) -> tuple[tuple[tuple[int, int, str], ...], ...]:
    """Sorts paths part by part."""
    return tuple(natural(part) for part in path.split("/"))


class Rules:
    """The mapping's rules for folders, and which of them were of use."""

    def __init__(self, rules: Sequence[FolderRule], complaints: Complaints) -> None:
        self._rules = rules
        self._complaints = complaints
        self._used: set[int] = set()

    def leaves_out(self, folder: str) -> bool:
        """Whether `folder` is not to be imported."""
        found = [index for index, rule in enumerate(self._rules) if rule.leave_out and matches(rule.match, folder)]
        self._used.update(found)
        return bool(found)

    def facts(self, folder: str, path: Path) -> FolderFacts:
        """What the rules say of `folder`, which lies at `path`; a complaint where two say different things."""
        said: dict[str, tuple[int, int | str]] = {}
        labels: dict[str, tuple[int, int | str]] = {}
        for index, rule in enumerate(self._rules):
            if rule.leave_out or not matches(rule.match, folder):
                continue
            self._used.add(index)
            given = {name: getattr(rule, name) for name in _FACTS}
            for into, facts in ((said, given), (labels, rule.labels)):
                for name, value in facts.items():
                    if value is None:
                        continue
                    first, known = into.setdefault(name, (index, value))
                    if known != value:
                        text = f"{name} is {known} by folders.{first} and {value} by folders.{index} of the mapping."
                        self._complaints.add(path, text)
        plain = {name: value for name, (_, value) in said.items()}
        # The values are of the types of FolderRule's fields, which are those of FolderFacts.
        return FolderFacts(**plain, labels={name: str(value) for name, (_, value) in labels.items()})  # type: ignore[arg-type]  # see above

    def complain_of_idle(self, mapping: str, folders: Iterable[str], what: str) -> None:
        """Complain of the rules that no folder has met."""
        known = sorted(folders, key=natural_path)
        shown = ", ".join(map(quoted, known[:5])) + (", …" if len(known) > 5 else "")
        for index, rule in enumerate(self._rules):
            if index not in self._used:
                text = f"folders.{index}.match: {quoted(rule.match)} matches no folder with {what}; there are {shown}."
                self._complaints.add(mapping, text)


def matches(pattern: str, folder: str) -> bool:
    """Whether `pattern` is that of the relative path `folder`; ** stands for any number of folders."""
    parts, names = tuple(pattern.split("/")), tuple(() if folder == "." else folder.split("/"))
    if parts == (".",):
        return not names

    # All that the parts so far can have used up of the names: no pattern takes exponential time.
    places = {0}
    for part in parts:
        if part == "**":
            places = set(range(min(places, default=len(names) + 1), len(names) + 1))
        else:
            places = {at + 1 for at in places if at < len(names) and fnmatchcase(names[at], part)}
    return len(names) in places


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
