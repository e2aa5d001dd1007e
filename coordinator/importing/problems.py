"""The problems of the data to import, collected while everything is read so that all are reported together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from coordinator.text import printable
from joulefleet.errors import StudyError

MAX_SHOWN = 50
"""Most problems that are shown: a wrong column is wrong in thousands of rows."""


class ImportProblems:
    """Collects the problems of an import. Readers `add` them; `raise_if_any` ends the import before it writes."""

    def __init__(self) -> None:
        self._messages: list[str] = []

    @property
    def messages(self) -> Sequence[str]:
        """The problems in the order in which they were added, each on one line."""
        return self._messages

    def add(self, where: Path | str, text: str, *, line: int | None = None) -> None:
        """Add the problem `text` of the file or folder `where`."""
        at = "" if line is None else f":{line}"
        self._messages.append(printable(f"{where}{at}: {text}"))

    def raise_if_any(self) -> None:
        """Raise StudyError with the problems, each once, if there are any."""
        if not self._messages:
            return
        shown = list(dict.fromkeys(self._messages))
        more = len(shown) - MAX_SHOWN
        if more > 0:
            shown = [*shown[:MAX_SHOWN], f"and {more} more"]
        raise StudyError(shown, cure="Nothing was imported. Fix the data or the mapping, and import again.")


def quoted(text: str) -> str:
    """Return `text` of the data in quotes, shortened to 60 characters, for a message."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
