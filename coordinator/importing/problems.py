"""Everything that is wrong with the data, gathered while all of it is read, so that it is said at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from coordinator.text import printable
from joulefleet.errors import StudyError

MOST_SHOWN = 50
"""A wrong column is wrong in each of thousands of rows."""


class Complaints:
    """Gathers mistakes, each with the file that it is in and what to do."""

    def __init__(self) -> None:
        self._found: list[str] = []

    @property
    def found(self) -> Sequence[str]:
        """Each mistake, on one line whatever stands in names and cells."""
        return self._found

    def add(self, where: Path | str, text: str, *, line: int | None = None) -> None:
        """Note that `text` is wrong in the file `where`."""
        at = "" if line is None else f":{line}"
        self._found.append(printable(f"{where}{at}: {text}"))

    def settle(self) -> None:
        """Raise StudyError with all that was found, if there is any."""
        if not self._found:
            return
        shown = list(dict.fromkeys(self._found))
        more = len(shown) - MOST_SHOWN
        if more > 0:
            shown = [*shown[:MOST_SHOWN], f"and {more} more"]
        raise StudyError(shown, cure="Nothing was imported. Mend the data or the mapping, and import again.")


def quoted(text: str) -> str:
    """`text` of the data, in quotes and not too long, for a message."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
