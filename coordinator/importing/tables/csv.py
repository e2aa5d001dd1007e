"""CSV files of other tools: read whole within limits, every cell still text, every fault with its line."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from coordinator.importing.problems import Complaints, quoted
from joulefleet.errors import did_you_mean

MOST_BYTES = 64 << 20
"""Of one file: a trace of one line a second fills it in a week or two."""

MOST_BYTES_IN_ALL = 512 << 20
"""All traces are held in memory until everything is judged, at some times their size."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvRow:
    """One row of a table, and the line of the file on which it ends."""

    number: int
    cells: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvTable:
    """A CSV file: the names of its columns, and its rows, each of as many cells."""

    path: Path
    header: tuple[str, ...]
    lines: tuple[CsvRow, ...]
    sha256: str

    def place(self, column: str) -> int | None:
        """Where `column` stands in each row; None where there is none."""
        return self.header.index(column) if column in self.header else None

    def lacks(self, column: str) -> str:
        """What to say where there is no `column`."""
        hint = did_you_mean(column, map(quoted, self.header)) or f"it has {', '.join(map(quoted, self.header[:20]))}."
        return f"no column {quoted(column)}; {hint}"


class CsvReader:
    """Reads CSV files, and complains of each that will not do."""

    def __init__(
        self, complaints: Complaints, *, most_bytes: int = MOST_BYTES, most_in_all: int = MOST_BYTES_IN_ALL
    ) -> None:
        self.complaints = complaints
        self._most = most_bytes
        self._left = most_in_all

    def read(self, path: Path) -> CsvTable | None:
        """The table at `path`; None, with a complaint, where it is none."""
        raw = self._bytes(path)
        if raw is None:
            return None
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw[: error.start].count(b"\n") + 1
            self.complaints.add(path, "not UTF-8; save it as UTF-8.", line=line)
            return None
        return self._table(path, text, hashlib.sha256(raw).hexdigest())

    def _bytes(self, path: Path) -> bytes | None:
        try:
            with path.open("rb") as file:
                raw = file.read(self._most + 1)
        except OSError as error:
            self.complaints.add(path, f"cannot be read ({error.strerror}); check it and its rights.")
            return None
        if len(raw) > self._most:
            self.complaints.add(path, f"over {self._most >> 20} MiB; split it, or leave it out.")
            return None
        if self._left >= 0:
            self._left -= len(raw)
            if self._left < 0:
                self.complaints.add(
                    path, "with it, more than 512 MiB would be read; import parts of it as studies of their own."
                )
        return raw if self._left >= 0 else None

    def _table(self, path: Path, text: str, sha256: str) -> CsvTable | None:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header: tuple[str, ...] = ()
        lines: list[CsvRow] = []
        sound = True
        try:
            for cells in reader:
                if not cells:
                    continue
                if not header:
                    header = tuple(name.strip() for name in cells)
                elif len(cells) == len(header):
                    lines.append(CsvRow(number=reader.line_num, cells=cells))
                else:
                    sound = False
                    text = f"{len(cells)} cells under {len(header)} columns; mend the row or remove it."
                    self.complaints.add(path, text, line=reader.line_num)
        except csv.Error as error:
            self.complaints.add(path, f"no CSV ({error}); mend the line.", line=reader.line_num)
            return None
        if not header:
            self.complaints.add(path, "empty; remove the folder, or leave it out (`folders: leave_out`).")
            return None
        for name in sorted({name for name in header if header.count(name) > 1}):
            sound = False
            self.complaints.add(path, f"the column {quoted(name)} stands there twice; rename one.")
        return CsvTable(path=path, header=header, lines=tuple(lines), sha256=sha256) if sound else None


def number(cell: str) -> float | None:
    """The finite number in `cell`; None where there is none."""
    text = cell.strip()
    # float() alone would take "1_000", "nan" and digits of other scripts as well.
    if not text.isascii() or _NUMBER.fullmatch(text) is None:
        return None
    value = float(text)
    return value if isfinite(value) else None
