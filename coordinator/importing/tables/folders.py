"""The folders of the data to import, and the facts that the rules of the mapping give for each."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path

from coordinator.importing.mapping.spec import FolderFacts, FolderRule
from coordinator.importing.problems import ImportProblems, quoted

MAX_FOLDERS = 1_000_000
"""Most folders that are read: more are no data of an experiment, but for example a home folder."""

_FACTS = tuple(field.name for field in fields(FolderFacts) if field.name != "labels")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """The names of the files and folders in one folder."""

    files: frozenset[str]
    folders: frozenset[str]


def walk(root: Path, problems: ImportProblems) -> dict[str, Entries]:
    """Return every folder below `root`, and `root` itself, by relative path. Links to folders are not followed."""
    entries: dict[str, Entries] = {}

    def on_error(error: OSError) -> None:
        problems.add(str(error.filename), f"cannot be read ({error.strerror}); check its permissions.")

    for path, folders, files in os.walk(root, onerror=on_error):
        if not _is_utf8(path):
            problems.add(ascii(path), "its name is not UTF-8; rename it.")
            folders.clear()
            continue
        if len(entries) >= MAX_FOLDERS:
            problems.add(root, f"more than {MAX_FOLDERS} folders; name the folder of the data.")
            break
        folders.sort(key=natural)
        folders[:] = [name for name in folders if not os.path.islink(f"{path}/{name}")]  # noqa: PTH114 - a Path for each of many is slow
        entries[Path(path).relative_to(root).as_posix()] = Entries(files=frozenset(files), folders=frozenset(folders))
    return entries


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key by which run_2 comes before run_10."""
    parts = re.split(r"([0-9]+)", name)
    return tuple((0, int(part), "") if index % 2 else (1, 0, part) for index, part in enumerate(parts))


def natural_path(path: str) -> tuple[tuple[tuple[int, int, str], ...], ...]:
    """Return a sort key that compares paths part by part, each as `natural` does."""
    return tuple(natural(part) for part in path.split("/"))


class Rules:
    """The rules of a mapping for folders.

    A reader asks `leaves_out` of every folder, then `facts` of each that it reads, and calls
    `report_unused` at the end.
    """

    def __init__(self, rules: Sequence[FolderRule], problems: ImportProblems) -> None:
        self._rules = rules
        self._problems = problems
        self._used: set[int] = set()

    def leaves_out(self, folder: str) -> bool:
        """Return whether a rule leaves `folder` out of the import."""
        matching = [index for index, rule in enumerate(self._rules) if rule.leave_out and matches(rule.match, folder)]
        self._used.update(matching)
        return bool(matching)

    def facts(self, folder: str, path: Path) -> FolderFacts:
        """Return the facts that the rules give for `folder`; add a problem for `path` if two rules disagree."""
        values: dict[str, tuple[int, int | str]] = {}
        labels: dict[str, tuple[int, int | str]] = {}
        for index, rule in enumerate(self._rules):
            if rule.leave_out or not matches(rule.match, folder):
                continue
            self._used.add(index)
            given = {name: getattr(rule, name) for name in _FACTS}
            for into, facts in ((values, given), (labels, rule.labels)):
                for name, value in facts.items():
                    if value is None:
                        continue
                    first, known = into.setdefault(name, (index, value))
                    if known != value:
                        text = f"{name} is {known} by folders.{first} and {value} by folders.{index} of the mapping."
                        self._problems.add(path, text)
        plain = {name: value for name, (_, value) in values.items()}
        # Each value was a field of the same name in a FolderRule, which is a FolderFacts.
        return FolderFacts(**plain, labels={name: str(value) for name, (_, value) in labels.items()})  # type: ignore[arg-type]  # see above

    def report_unused(self, mapping: str, folders: Iterable[str], what: str) -> None:
        """Add a problem of the file `mapping` for each rule that matched none of the `folders` with `what`."""
        known = sorted(folders, key=natural_path)
        shown = ", ".join(map(quoted, known[:5])) + (", …" if len(known) > 5 else "")
        for index, rule in enumerate(self._rules):
            if index not in self._used:
                text = f"folders.{index}.match: {quoted(rule.match)} matches no folder with {what}; there are {shown}."
                self._problems.add(mapping, text)


def matches(pattern: str, folder: str) -> bool:
    """Return whether `pattern` matches the relative path `folder`; ** matches any number of folders."""
    parts, names = tuple(pattern.split("/")), tuple(() if folder == "." else folder.split("/"))
    if parts == (".",):
        return not names

    # How many of the names the parts so far can match: sets instead of backtracking, which may take exponential time.
    matched = {0}
    for part in parts:
        if part == "**":
            matched = set(range(min(matched, default=len(names) + 1), len(names) + 1))
        else:
            matched = {count + 1 for count in matched if count < len(names) and fnmatchcase(names[count], part)}
    return len(names) in matched


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
