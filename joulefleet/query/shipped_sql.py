"""The SQL that ships with the package: one file for each view, macro and example query."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Literal

from joulefleet.errors import QueryError, closest_or

Folder = Literal["views", "macros", "examples"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An example query, with the question that it answers."""

    name: str
    question: str
    sql: str


def sql_text(folder: Folder, name: str) -> str:
    """Return the text of sql/<folder>/<name>.sql."""
    return (resources.files("joulefleet.query") / "sql" / folder / f"{name}.sql").read_text(encoding="utf-8")


def sql_names(folder: Folder) -> tuple[str, ...]:
    """Return the sorted names of the files in `folder`."""
    files = (resources.files("joulefleet.query") / "sql" / folder).iterdir()
    return tuple(sorted(file.name.removesuffix(".sql") for file in files if file.name.endswith(".sql")))


def first_comment(text: str) -> str:
    """Return the comment at the beginning of `text` as one line."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    return " ".join(lines)


def examples() -> tuple[Example, ...]:
    """Return all example queries, sorted by name."""
    return tuple(_example(name) for name in sql_names("examples"))


def example(name: str) -> Example:
    """Return the example called `name`. Raises QueryError where there is none."""
    names = sql_names("examples")
    if name not in names:
        cure = closest_or(name, names, f"There are {', '.join(names)}.")
        raise QueryError(f"There is no example called {name!r}.", cure=cure)
    return _example(name)


def _example(name: str) -> Example:
    text = sql_text("examples", name)
    return Example(name=name, question=text.split("\n", 1)[0].removeprefix("--").strip(), sql=text)
