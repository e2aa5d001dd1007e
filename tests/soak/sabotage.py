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
    """What is replaced in a file, so many times."""

    file: str
    old: str
    new: str
    times: int = 1


ALWAYS = (
    # A soak is too short for five hundred loose files.
    Removal(file="coordinator/campaign/stage.py", old="COMPACT_AT_LEAST = 500\n", new="COMPACT_AT_LEAST = 20\n"),
)

SABOTAGES: dict[str, tuple[Removal, ...]] = {
    "lock": (Removal(file="agent/host/lock.py", old="locked = try_lock(descriptor)", new="locked = True"),),
    "fsync": (Removal(file="joulefleet/durable.py", old="os.fsync(descriptor)", new="pass", times=3),),
    "fsync-data": (
        Removal(
            file="joulefleet/durable.py",
            old="os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)\n    try:\n        os.fsync(descriptor)",
            new="os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)\n    try:\n        pass",
        ),
    ),
    "fsync-names": (
        Removal(
            file="joulefleet/durable.py",
            old="os.open(folder, os.O_RDONLY | os.O_DIRECTORY)\n    try:\n        os.fsync(descriptor)",
            new="os.open(folder, os.O_RDONLY | os.O_DIRECTORY)\n    try:\n        pass",
        ),
    ),
    "epoch": (Removal(file="agent/state/epochs.py", old="if epoch < highest:", new="if epoch < 0:"),),
}


def sabotaged(name: str, folder: Path) -> Path:
    """Copy the product to `folder` without the safeguard called `name`; an empty name removes none."""
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for removal in (*ALWAYS, *SABOTAGES.get(name, ())):
        path = folder / removal.file
        text = path.read_text(encoding="utf-8")
        if text.count(removal.old) != removal.times:
            raise ValueError(f"{removal.file} does not have {removal.old!r} {removal.times} times")
        path.write_text(text.replace(removal.old, removal.new), encoding="utf-8")
    agent = folder / "agent" / "__init__.py"
    agent.write_text(agent.read_text(encoding="utf-8") + _SAYS_ITSELF, encoding="utf-8")
    return folder


def imported(folder: Path) -> set[int]:
    """Return the processes that have imported the agent from the copy in `folder`."""
    said = folder / "imported"
    return {int(line) for line in said.read_text().split()} if said.exists() else set()
