"""Compactions that end in the middle, and the content of a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from joulefleet.query import Store
from joulefleet.store.compaction import Step


class CrashError(Exception):
    """The process ended here."""


class CrashAt:
    """Ends a compaction at its step `number`, counted from 0; never where it has fewer steps, or for None."""

    def __init__(self, number: int | None) -> None:
        self._left = number
        self.steps: list[str] = []

    def __call__(self, step: Step) -> None:
        """Record `step`, and raise CrashError where it is the one."""
        self.steps.append(step.what)
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise CrashError


def attempts_of(store: Path | str) -> list[dict[str, Any]]:
    """Return the rows of all attempts that `store` counts, sorted by id."""
    with Store.open(store) as opened:
        rows: list[dict[str, Any]] = opened.arrow("from attempts order by attempt_id").to_pylist()
        return rows


def files_of(store: Path) -> dict[str, bytes]:
    """Return the content of every file of `store`, by its path in it."""
    return {str(path.relative_to(store)): path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file()}
