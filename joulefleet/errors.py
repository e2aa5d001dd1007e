"""Joulefleet's own errors, and the exit code with which a command ends on each.

::

    JoulefleetError
    ├── StudyError     3   a study file, a trial file, or data to import has mistakes
    ├── StoreError     4   a store cannot be read or written
    │   └── SupersededError    a newer coordinator commands the agents of this store
    ├── MachineError   5   this machine (or its agent) cannot do what the study asks
    │   └── BusyError          another agent measures on it
    └── QueryError     6   a question to a store cannot be answered

A command also ends with 0 (done), 1 (a bug in Joulefleet, with a traceback), 2 (wrong usage of
the command line), 7 (trials failed, or are missing as machines have gone or were set aside) and 130
(interrupted by Ctrl-C).
Each message is one line, or one line a mistake, and ends in a cure.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

EXIT_BUG = 1
EXIT_USAGE = 2
EXIT_FAILED_TRIALS = 7
EXIT_INTERRUPTED = 130


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return `did you mean NAME?` with the name of `known` that is closest to `name`; None where none is close."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]}?" if close else None


def closest_or(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return the cure `Did you mean NAME?`, or `otherwise` where no name of `known` is close to `name`."""
    hint = did_you_mean(name, known)
    return hint[0].upper() + hint[1:] if hint else otherwise


class JoulefleetError(Exception):
    """Base of all errors of Joulefleet: what is wrong, and how to fix it.

    `problems` are the mistakes, one line each; `cure` is one line that says what the user can do. The command
    line prints both and ends with `exit_code`. It survives pickling, so that it can cross a process.
    """

    exit_code = EXIT_BUG

    def __init__(self, problems: str | Sequence[str], *, cure: str) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        self.cure = cure
        super().__init__(self.problems, cure)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return f"{self.problems[0]} {self.cure}".rstrip()
        return "\n".join([f"{len(self.problems)} mistakes:", *(f"  {p}" for p in self.problems), self.cure])

    def __reduce__(self) -> tuple[object, ...]:
        # Without this an error that crosses a process could not be rebuilt: `cure` is keyword-only.
        return (_rebuild, (type(self), self.problems, self.cure))


def _rebuild(kind: type[JoulefleetError], problems: tuple[str, ...], cure: str) -> JoulefleetError:
    return kind(problems, cure=cure)


class StudyError(JoulefleetError):
    """A study file, a trial file, a mapping or data to import have mistakes."""

    exit_code = 3


class StoreError(JoulefleetError):
    """A store cannot be read or written."""

    exit_code = 4


class SupersededError(StoreError):
    """A newer coordinator commands the agents of this store; its epoch is `highest`."""

    def __init__(self, problems: str | Sequence[str], *, cure: str, highest: int) -> None:
        super().__init__(problems, cure=cure)
        self.highest = highest

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_superseded, (self.problems, self.cure, self.highest))


def _rebuild_superseded(problems: tuple[str, ...], cure: str, highest: int) -> SupersededError:
    return SupersededError(problems, cure=cure, highest=highest)


class MachineError(JoulefleetError):
    """This machine, or its agent, cannot do what the study asks."""

    exit_code = 5


class BusyError(MachineError):
    """Another agent measures on this machine."""


class QueryError(JoulefleetError):
    """A question to a store cannot be answered."""

    exit_code = 6
