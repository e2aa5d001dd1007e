"""Reads CSV files of other tools, within limits of size; cells stay text, and each problem has its line."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from coordinator.importing.problems import ImportProblems, quoted
from joulefleet.errors import did_you_mean

MAX_FILE_BYTES = 64 << 20
"""Largest file, bytes: a trace of one line a second reaches it in a week or two."""

MAX_TOTAL_BYTES = 512 << 20
"""Most bytes of all files together: until everything is checked, all are in memory at several times this size."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvRow:
    """One row of a table."""

    line: int
    """Line of the file on which the row ends."""
    cells: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvTable:
    """A CSV file; each of its rows has one cell for each name in its header."""

    path: Path
    header: tuple[str, ...]
    rows: tuple[CsvRow, ...]
    sha256: str

    def index_of(self, column: str) -> int | None:
        """Return the index of `column` in each row; None if there is no such column."""
        return self.header.index(column) if column in self.header else None

    def missing_text(self, column: str) -> str:
        """Return the text of the problem that there is no `column`."""
        hint = did_you_mean(column, map(quoted, self.header)) or f"it has {', '.join(map(quoted, self.header[:20]))}."
        return f"no column {quoted(column)}; {hint}"


class CsvReader:
    """Reads the CSV files of one import, and adds a problem to `problems` for each that cannot be used.

    `max_file_bytes` limits each file, `max_total_bytes` all files that this reader has read.
    """

    def __init__(
        self, problems: ImportProblems, *, max_file_bytes: int = MAX_FILE_BYTES, max_total_bytes: int = MAX_TOTAL_BYTES
    ) -> None:
        self.problems = problems
        self._max_file_bytes = max_file_bytes
        self._left_bytes = max_total_bytes

    def read(self, path: Path) -> CsvTable | None:
        """Return the table at `path`; None, after adding a problem, if it cannot be used."""
        raw = self._bytes(path)
        if raw is None:
            return None
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw[: error.start].count(b"\n") + 1
            self.problems.add(path, "not UTF-8; save it as UTF-8.", line=line)
            return None
        return self._table(path, text, hashlib.sha256(raw).hexdigest())

    def _bytes(self, path: Path) -> bytes | None:
        try:
            with path.open("rb") as file:
                raw = file.read(self._max_file_bytes + 1)
        except OSError as error:
            self.problems.add(path, f"cannot be read ({error.strerror}); check the file and its permissions.")
            return None
        if len(raw) > self._max_file_bytes:
            self.problems.add(path, f"over {self._max_file_bytes >> 20} MiB; split it, or leave it out.")
            return None
        if self._left_bytes >= 0:
            self._left_bytes -= len(raw)
            if self._left_bytes < 0:
                self.problems.add(
                    path, "with this file more than 512 MiB would be read; import the data in parts, each as a study."
                )
        return raw if self._left_bytes >= 0 else None

    def _table(self, path: Path, text: str, sha256: str) -> CsvTable | None:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header: tuple[str, ...] = ()
        rows: list[CsvRow] = []
        is_valid = True
        try:
            for cells in reader:
                if not cells:
                    continue
                if not header:
                    header = tuple(name.strip() for name in cells)
                elif len(cells) == len(header):
                    rows.append(CsvRow(line=reader.line_num, cells=cells))
                else:
                    is_valid = False
                    text = f"{len(cells)} cells under {len(header)} columns; fix the row or remove it."
                    self.problems.add(path, text, line=reader.line_num)
        except csv.Error as error:
            self.problems.add(path, f"not CSV ({error}); fix the line.", line=reader.line_num)
            return None
        if not header:
            self.problems.add(path, "empty; remove the folder, or leave it out (`folders: leave_out`).")
            return None
        for name in sorted({name for name in header if header.count(name) > 1}):
            is_valid = False
            self.problems.add(path, f"the column {quoted(name)} is there twice; rename one.")
        return CsvTable(path=path, header=header, rows=tuple(rows), sha256=sha256) if is_valid else None


def number(cell: str) -> float | None:
    """Return the finite number in `cell`; None if there is none."""
    text = cell.strip()
    # float() would also take "1_000", "nan" and the digits of other scripts.
    if not text.isascii() or _NUMBER.fullmatch(text) is None:
        return None
    value = float(text)
    return value if isfinite(value) else None
