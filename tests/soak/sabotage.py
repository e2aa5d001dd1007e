"""Copies of the product in which one safeguard is missing: the soak must notice it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("joulefleet", "agent", "coordinator")
REPOSITORY = Path(__file__).resolve().parents[2]

_SAYS_ITSELF = """
import os as _os
if "SOAK_MACHINE" in _os.environ:
    # Which processes run this copy.
    with open(_os.path.join(_os.path.dirname(_os.path.dirname(__file__)), "imported"), "a") as _file:
        _file.write(f"{_os.getpid()}\\n")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """A text in a file, which must be there exactly once, and what replaces it."""

    file: str
    old: str
    new: str


ALWAYS = (
    # A soak is too short for five hundred loose files.
    Removal(file="coordinator/campaign/stage.py", old="COMPACT_AT_LEAST = 500\n", new="COMPACT_AT_LEAST = 20\n"),
)

_SYNC = "\n    try:\n        os.fsync(descriptor)"
_NO_SYNC = "\n    try:\n        pass"
_OPEN_FILE = "os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)"
_OPEN_FOLDER = "os.open(folder, os.O_RDONLY | os.O_DIRECTORY)"
_FULL = "raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))\n        "
_DATA = Removal(file="joulefleet/durable.py", old=_OPEN_FILE + _SYNC, new=_OPEN_FILE + _NO_SYNC)
_NAMES = Removal(file="joulefleet/durable.py", old=_OPEN_FOLDER + _SYNC, new=_OPEN_FOLDER + _NO_SYNC)
_LINES = Removal(file="joulefleet/durable.py", old=_FULL + "os.fsync(descriptor)", new=_FULL + "pass")

SABOTAGES: dict[str, tuple[Removal, ...]] = {
    "lock": (Removal(file="agent/host/lock.py", old="locked = try_lock(descriptor)", new="locked = True"),),
    "fsync": (_DATA, _NAMES, _LINES),
    "fsync-data": (_DATA,),
    "fsync-names": (_NAMES,),
    "epoch": (Removal(file="agent/state/epochs.py", old="if epoch < highest:", new="if epoch < 0:"),),
}


def sabotaged(name: str, folder: Path) -> Path:
    """Copy the product to `folder` without the safeguard called `name`; an empty name removes none."""
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for removal in (*ALWAYS, *SABOTAGES.get(name, ())):
        path = folder / removal.file
        text = path.read_text(encoding="utf-8")
        if (times := text.count(removal.old)) != 1:
            raise ValueError(f"{removal.file} has {removal.old!r} {times} times instead of once")
        path.write_text(text.replace(removal.old, removal.new), encoding="utf-8")
    agent = folder / "agent" / "__init__.py"
    agent.write_text(agent.read_text(encoding="utf-8") + _SAYS_ITSELF, encoding="utf-8")
    return folder


def imported(folder: Path) -> set[int]:
    """Return the processes that have imported the agent from the copy in `folder`."""
    said = folder / "imported"
    return {int(line) for line in said.read_text().split()} if said.exists() else set()
