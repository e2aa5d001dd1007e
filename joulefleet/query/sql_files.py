"""The SQL that ships with the package, one file a view, macro or example, and what its first comment says."""

from __future__ import annotations

from importlib import resources
from typing import Literal

Folder = Literal["views", "macros", "examples"]


def sql_text(folder: Folder, name: str) -> str:
    """The text of <folder>/<name>.sql."""
    return (resources.files("joulefleet.query") / "sql" / folder / f"{name}.sql").read_text(encoding="utf-8")


def sql_names(folder: Folder) -> tuple[str, ...]:
    """The names of the files in `folder`, sorted."""
    files = (resources.files("joulefleet.query") / "sql" / folder).iterdir()
    return tuple(sorted(file.name.removesuffix(".sql") for file in files if file.name.endswith(".sql")))


def first_comment(text: str) -> str:
    """What the comment that begins `text` says, as one line."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    return " ".join(lines)
