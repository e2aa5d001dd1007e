"""The base of the readers of other tools' output."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Generic

from coordinator.importing.mapping.load import AnyMapping
from coordinator.importing.mapping.units import zone_of
from coordinator.importing.model import Identity, ImportedMachine, ImportedRun, Package
from coordinator.importing.problems import ImportProblems
from coordinator.importing.tables.csv import CsvReader, CsvTable
from coordinator.importing.tables.folders import Rules
from coordinator.importing.tables.identity import columns_of
from coordinator.importing.tables.metrics import metric_columns

MAX_NOTES = 20
"""Most notes for the user."""


class PackageReader(ABC, Generic[AnyMapping]):
    """Reads the output of a tool at `root`, as `mapping` explains it; messages call the mapping `mapping_name`.

    A reader is made for one import. Its `read` walks through the folders, collects runs, notes and problems,
    and ends with `_package`, which raises the problems all together.
    """

    tool: ClassVar[str]
    """Name of the tool in the store (column `imported_from`)."""
    required: ClassVar[tuple[str, ...]]
    """Columns that every table of the tool has."""

    def __init__(self, root: Path, mapping: AnyMapping, *, mapping_name: str) -> None:
        self._root = root
        self._mapping = mapping
        self._mapping_name = mapping_name
        self._problems = ImportProblems()
        self._csv = CsvReader(self._problems)
        self._rules = Rules(mapping.folders, self._problems)
        self._zone = zone_of(mapping.time_zone)
        self._machines = {name: ImportedMachine(name=name, record=record) for name, record in mapping.machines.items()}
        self._runs: list[ImportedRun] = []
        self._planned: list[Identity] = []
        self._notes: list[str] = []

    @abstractmethod
    def read(self) -> Package:
        """Return all runs. Raises StudyError with all problems of the data."""

    def _has_columns(self, table: CsvTable) -> bool:
        """Return whether `table` has all columns that the tool and the mapping need; add a problem for each missing."""
        needed = {name: name for name in self.required} | columns_of(self._mapping)
        needed |= dict(metric_columns(self._mapping.metrics))
        missing = {what: column for what, column in needed.items() if table.index_of(column) is None}
        for what, column in missing.items():
            source = "" if what == column else f" ({what} of the mapping)"
            self._problems.add(table.path, f"{table.missing_text(column)}{source}")
        return not missing

    def _package(self, folders: int) -> Package:
        """Return what was read from tables in this number of `folders`. Raises StudyError if there are problems."""
        self._problems.raise_if_any()
        more = len(self._notes) - MAX_NOTES
        notes = self._notes if more <= 0 else [*self._notes[:MAX_NOTES], f"and {more} more"]
        return Package(tool=self.tool, runs=self._runs, planned=self._planned, folders=folders, notes=notes)
