"""Rows of another tool's table, made without a file."""

from __future__ import annotations

from pathlib import Path

from coordinator.importing.problems import ImportProblems
from coordinator.importing.tables.csv import CsvRow, CsvTable
from coordinator.importing.tables.identity import Row


def table_row(cells: dict[str, str], problems: ImportProblems) -> Row:
    """Return line 2 of the table `t.csv`, whose only row has these `cells` by column."""
    line = CsvRow(line=2, cells=list(cells.values()))
    table = CsvTable(path=Path("t.csv"), header=tuple(cells), rows=(line,), sha256="")
    return Row(table, line, problems)
