"""The shipped questions: each a file of examples/, which asks it in words in its first line."""

from __future__ import annotations

from dataclasses import dataclass

from joulefleet.errors import QueryError, closest_or
from joulefleet.query.sql_files import sql_names, sql_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One question, in words and in SQL."""

    name: str
    question: str
    sql: str


def examples() -> tuple[Example, ...]:
    """All of them, by name."""
    return tuple(_read(name) for name in sql_names("examples"))


def example(name: str) -> Example:
    """The one called `name`. Raises QueryError where there is none."""
    names = sql_names("examples")
    if name not in names:
        cure = closest_or(name, names, f"There are {', '.join(names)}.")
        raise QueryError(f"There is no example called {name!r}.", cure=cure)
    return _read(name)


def _read(name: str) -> Example:
    text = sql_text("examples", name)
    return Example(name=name, question=text.split("\n", 1)[0].removeprefix("--").strip(), sql=text)
