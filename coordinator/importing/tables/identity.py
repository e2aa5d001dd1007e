"""What a row is a run of: model, task, machine and factors, from rules, columns or the mapping itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from coordinator.importing.mapping.spec import CommonMapping, Named, NumberFactor, TextFactor
from coordinator.importing.model import Identity, ImportedMachine
from coordinator.importing.problems import Complaints, quoted
from coordinator.importing.tables.csv import CsvRow, CsvTable, number
from coordinator.importing.tables.folders import FolderFacts

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,62}")
"""As `joulefleet.study.spec.Name`."""

_LONGEST_LABEL = 1000


class Row:
    """One row of a table: the text of each column by its name."""

    def __init__(self, table: CsvTable, line: CsvRow, complaints: Complaints) -> None:
        self._table = table
        self._line = line
        self._complaints = complaints

    @property
    def path(self) -> Path:
        """The table's file."""
        return self._table.path

    @property
    def cells(self) -> Sequence[tuple[str, str]]:
        """Each column with what stands in it."""
        return list(zip(self._table.header, self._line.cells, strict=True))

    def text(self, column: str) -> str | None:
        """What stands in `column`, without blanks around it; None where nothing does, or there is no column."""
        place = self._table.place(column)
        return None if place is None else self._line.cells[place].strip() or None

    def number(self, column: str) -> float | None:
        """The number in `column`; None, with a complaint, where something else stands there."""
        text = self.text(column)
        value = None if text is None else number(text)
        if text is not None and value is None:
            self.complain(f"{column} is {quoted(text)}, no finite number; mend the cell or empty it.")
        return value

    def complain(self, text: str) -> None:
        """Note that `text` is wrong in this row."""
        self._complaints.add(self.path, text, line=self._line.number)


def columns_of(mapping: CommonMapping) -> dict[str, str]:
    """The columns that the names and factors of `mapping` need, each with what needs it."""
    factors = mapping.factors
    sources: dict[str, Named | NumberFactor | TextFactor | None] = {
        "model": mapping.model,
        "task": mapping.task,
        "machine": mapping.machine,
        "factors.batch_size": factors.batch_size,
        "factors.threads": factors.threads,
        "factors.dtype": factors.dtype,
    }
    needed = {name: source.column for name, source in sources.items() if source is not None and source.column}
    return needed | {f"labels.{label}": column for label, column in mapping.labels.items()}


def identity_of(
    row: Row, facts: FolderFacts, mapping: CommonMapping, machine: ImportedMachine | None
) -> Identity | None:
    """What `row` is a run of, on `machine`; None, with complaints, where something of it is not known."""
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
        dtype=facts.dtype or _word(row, factors.dtype),
        labels=labels | facts.labels,
        items=facts.items or mapping.items,
    )


def machine_of(
    row: Row, facts: FolderFacts, mapping: CommonMapping, machines: Mapping[str, ImportedMachine]
) -> ImportedMachine | None:
    """Which of `machines`, by their names, `row` ran on; None, with a complaint, where that is not known."""
    if facts.machine is None and mapping.machine is None and len(machines) == 1:
        return next(iter(machines.values()))
    name = facts.machine or _name(row, "machine", mapping.machine)
    if name is not None and name not in machines:
        row.complain(f"no machine is named {quoted(name)} in the mapping; add it under `machines`.")
        return None
    return None if name is None else machines[name]


def _name(row: Row, what: str, source: Named | None) -> str | None:
    if source is None:
        row.complain(f"which {what} it is is not said; say it under `folders` or `{what}` of the mapping.")
        return None
    if source.value is not None:
        return source.value
    assert source.column is not None
    text = row.text(source.column)
    if text is None:
        row.complain(f"{source.column} is empty, and should say the {what}.")
        return None
    if source.values and text not in source.values:
        row.complain(f"{source.column} is {quoted(text)}, which `{what}: values` of the mapping does not know.")
        return None
    name = source.values.get(text, text)
    if _NAME.fullmatch(name) is None:
        row.complain(f"{source.column} is {quoted(text)}, no name; say one for it under `{what}: values`.")
        return None
    return name


def _number(row: Row, what: str, source: NumberFactor | None) -> int | None:
    if source is None or source.column is None:
        return None if source is None else source.value
    value = row.number(source.column)
    if value is None:
        return None
    if value != int(value) or not 1 <= value < 2**53:
        row.complain(f"{source.column} is {value:g}, and {what} a whole number from 1 on.")
        return None
    return int(value)


def _word(row: Row, source: TextFactor | None) -> str | None:
    if source is None or source.column is None:
        return None if source is None else source.value
    text = row.text(source.column)
    if text is None:
        return None
    if source.values and text not in source.values:
        row.complain(f"{source.column} is {quoted(text)}, which `factors: dtype: values` does not know.")
    return source.values.get(text, text)


def _label(row: Row, label: str, column: str) -> str | None:
    text = row.text(column)
    if text is not None and len(text) > _LONGEST_LABEL:
        row.complain(f"{column} is too long for the label {quoted(label)} (over {_LONGEST_LABEL} characters).")
        return None
    return text
