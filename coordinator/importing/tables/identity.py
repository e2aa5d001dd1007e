"""The identity of the run in a row: model, task, machine and factors, from rules, columns or fixed values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from coordinator.importing.mapping.spec import CommonMapping, FolderFacts, NameSource, NumberFactor, TextFactor
from coordinator.importing.mapping.validate import sources_of
from coordinator.importing.model import Identity, ImportedMachine
from coordinator.importing.problems import ImportProblems, quoted
from coordinator.importing.tables.csv import CsvRow, CsvTable, number
from joulefleet.study.spec import NAME_PATTERN

_MAX_LABEL = 1000
"""Longest text of a label, characters."""


class Row:
    """One row of a table, whose cells are found by column name. It adds its problems to `problems`."""

    def __init__(self, table: CsvTable, row: CsvRow, problems: ImportProblems) -> None:
        self._table = table
        self._row = row
        self._problems = problems

    @property
    def path(self) -> Path:
        """The file of the table."""
        return self._table.path

    @property
    def cells(self) -> Sequence[tuple[str, str]]:
        """Name of each column, and the text of its cell."""
        return list(zip(self._table.header, self._row.cells, strict=True))

    def text(self, column: str) -> str | None:
        """Return the text in `column` without surrounding blanks; None if it is empty or there is no such column."""
        index = self._table.index_of(column)
        return None if index is None else self._row.cells[index].strip() or None

    def number(self, column: str) -> float | None:
        """Return the number in `column`; None if it is empty or, after adding a problem, if it is no number."""
        text = self.text(column)
        value = None if text is None else number(text)
        if text is not None and value is None:
            self.add_problem(f"{column} is {quoted(text)}, no finite number; fix the cell or empty it.")
        return value

    def add_problem(self, text: str) -> None:
        """Add the problem `text` of this row."""
        self._problems.add(self.path, text, line=self._row.line)


def columns_of(mapping: CommonMapping) -> dict[str, str]:
    """Return the columns that the names, factors and labels of `mapping` need, by the path that needs each."""
    columns = {name: source.column for name, source in sources_of(mapping).items() if source.column}
    return columns | {f"labels.{label}": column for label, column in mapping.labels.items()}


def identity_of(
    row: Row, facts: FolderFacts, mapping: CommonMapping, machine: ImportedMachine | None
) -> Identity | None:
    """Return the identity of the run in `row` on `machine`; None, after adding problems, if a part is unknown."""
    model = facts.model or _name(row, "model", mapping.model)
    task = facts.task or _name(row, "task", mapping.task)
    factors = mapping.factors
    labels = {label: text for label, column in mapping.labels.items() if (text := _label(row, label, column))}
    if model is None or task is None or machine is None:
        return None
    return Identity(
        model=model,
        task=task,
        machine=machine,
        batch_size=facts.batch_size or _number(row, "batch_size", factors.batch_size),
        threads=facts.threads or _number(row, "threads", factors.threads),
        dtype=facts.dtype or _level(row, factors.dtype),
        labels=labels | facts.labels,
        items=facts.items or mapping.items,
    )


def machine_of(
    row: Row, facts: FolderFacts, mapping: CommonMapping, machines: Mapping[str, ImportedMachine]
) -> ImportedMachine | None:
    """Return the one of `machines`, by name, that `row` ran on; None, after adding a problem, if it is unknown."""
    if facts.machine is None and mapping.machine is None and len(machines) == 1:
        return next(iter(machines.values()))
    name = facts.machine or _name(row, "machine", mapping.machine)
    if name is not None and name not in machines:
        row.add_problem(f"no machine is named {quoted(name)} in the mapping; add it under `machines`.")
        return None
    return None if name is None else machines[name]


def _name(row: Row, what: str, source: NameSource | None) -> str | None:
    if source is None:
        row.add_problem(f"the {what} is unknown; give it under `folders` or `{what}` of the mapping.")
        return None
    if source.value is not None:
        return source.value
    assert source.column is not None
    text = row.text(source.column)
    if text is None:
        row.add_problem(f"{source.column} is empty, and should name the {what}.")
        return None
    if source.values and text not in source.values:
        row.add_problem(f"{source.column} is {quoted(text)}, which `{what}: values` of the mapping does not have.")
        return None
    name = source.values.get(text, text)
    if re.fullmatch(NAME_PATTERN, name) is None:
        row.add_problem(f"{source.column} is {quoted(text)}, no valid name; give a name under `{what}: values`.")
        return None
    return name


def _number(row: Row, what: str, source: NumberFactor | None) -> int | None:
    if source is None or source.column is None:
        return None if source is None else source.value
    value = row.number(source.column)
    if value is None:
        return None
    if value != int(value) or not 1 <= value < 2**53:
        row.add_problem(f"{source.column} is {value:g}, but {what} must be a whole number from 1 on.")
        return None
    return int(value)


def _level(row: Row, source: TextFactor | None) -> str | None:
    if source is None or source.column is None:
        return None if source is None else source.value
    text = row.text(source.column)
    if text is None:
        return None
    if source.values and text not in source.values:
        row.add_problem(f"{source.column} is {quoted(text)}, which `factors: dtype: values` does not have.")
    return source.values.get(text, text)


def _label(row: Row, label: str, column: str) -> str | None:
    text = row.text(column)
    if text is not None and len(text) > _MAX_LABEL:
        row.add_problem(f"{column} is too long for the label {quoted(label)} (over {_MAX_LABEL} characters).")
        return None
    return text
