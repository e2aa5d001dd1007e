"""The output of Experiment Runner: a table and a folder a run, in folders within folders."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from coordinator.importing.mapping.spec import ExperimentRunnerMapping
from coordinator.importing.mapping.units import zone_of
from coordinator.importing.model import NOT_REPORTED, Identity, ImportedMachine, ImportedRun, Package
from coordinator.importing.problems import Complaints, quoted
from coordinator.importing.tables.csv import CsvReader, CsvTable
from coordinator.importing.tables.folders import Entries, FolderFacts, Rules, natural_path, walk
from coordinator.importing.tables.identity import Row, columns_of, identity_of, machine_of
from coordinator.importing.tables.metrics import joules_of, metric_columns, values_of
from coordinator.importing.traces.energy import decide
from coordinator.importing.traces.powerjoular import RunTraces, read_traces
from joulefleet.digest import digest

TOOL = "experiment-runner"
TABLE = "run_table.csv"

_RUN_FOLDER = re.compile(r"run_[0-9]+(_repetition_[0-9]+)?")
_RUN_ID, _DONE = "__run_id", "__done"
_MOST_NOTES = 20


def read_package(root: Path, mapping: ExperimentRunnerMapping, *, mapping_name: str, reader: CsvReader) -> Package:
    """All runs in `root`, as `mapping` explains them. Raises StudyError that names everything that is wrong."""
    return _RunTableReader(root, mapping, mapping_name, reader).read()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """A table with its folder, relative, and what the rules say of it."""

    folder: str
    table: CsvTable
    facts: FolderFacts


class _RunTableReader:
    def __init__(self, root: Path, mapping: ExperimentRunnerMapping, mapping_name: str, reader: CsvReader) -> None:
        self._root = root
        self._mapping = mapping
        self._mapping_name = mapping_name
        self._reader = reader
        self._complaints: Complaints = reader.complaints
        self._zone = zone_of(mapping.time_zone)
        self._machines = {name: ImportedMachine(name=name, record=record) for name, record in mapping.machines.items()}
        self._entries: dict[str, Entries] = {}
        self._runs: list[ImportedRun] = []
        self._planned: list[Identity] = []
        self._notes: list[str] = []

    def read(self) -> Package:
        if not os.path.isdir(self._root):  # noqa: PTH112 - Path.is_dir raises for a name that is too long
            self._complaints.add(self._root, "no folder; name the folder that holds the experiments.")
            self._complaints.settle()
        self._entries = walk(self._root, self._complaints)
        tables = self._tables()
        for table in tables:
            self._read_table(table)
        if tables and not self._runs and not self._complaints.found:
            self._complaints.add(self._root, f"no run is DONE in any {TABLE}; there is nothing to import.")
        self._complaints.settle()
        return Package(
            tool=TOOL, runs=self._runs, planned=self._planned, folders=len(tables), notes=self._shown_notes()
        )

    def _tables(self) -> list[_Table]:
        rules = Rules(self._mapping.folders, self._complaints)
        with_table = sorted((name for name, it in self._entries.items() if TABLE in it.files), key=natural_path)
        if not with_table:
            self._complaints.add(self._root, f"no {TABLE} in it or below; name the folder that holds the experiments.")
            return []
        left_out = [name for name in self._entries if rules.leaves_out(name)]
        found = []
        for folder in with_table:
            if folder in left_out:
                continue
            path = self._root / folder / TABLE
            facts = rules.facts(folder, path)
            table = self._reader.read(path)
            if table is not None:
                found.append(_Table(folder=folder, table=table, facts=facts))
        for folder, entries in self._entries.items():
            runs = sorted(name for name in entries.folders if _RUN_FOLDER.fullmatch(name))
            if runs and TABLE not in entries.files and folder not in left_out:
                text = f"holds {runs[0]} and no {TABLE}; put it back, or leave the folder out (`folders: leave_out`)."
                self._complaints.add(self._root / folder, text)
        rules.complain_of_idle(self._mapping_name, with_table, f"a {TABLE}")
        if len(left_out) >= len(with_table) and not found and not self._complaints.found:
            self._complaints.add(self._root, "every folder is left out; there is nothing to import.")
        return found

    def _read_table(self, it: _Table) -> None:
        if not self._has_columns(it.table):
            return
        folders = self._entries[it.folder].folders
        seen: dict[str, int] = {}
        for line in it.table.lines:
            row = Row(it.table, line, self._complaints)
            run = self._run_id(row, line.number, seen)
            if run is None:
                continue
            machine = machine_of(row, it.facts, self._mapping, self._machines)
            identity = identity_of(row, it.facts, self._mapping, machine)
            if identity is not None:
                self._planned.append(identity)
            if row.text(_DONE) != "DONE":
                continue
            if run in folders:
                self._read_run(row, it, run, identity)
            else:
                row.complain(f"the folder {quoted(run)} of this run is missing; put it back, or remove the row.")
        for name in sorted(folders - seen.keys()):
            if _RUN_FOLDER.fullmatch(name):
                self._notes.append(f"{it.table.path.parent / name}: no row of {TABLE} is about it; not imported")

    def _run_id(self, row: Row, line: int, seen: dict[str, int]) -> str | None:
        """The run that `row` is about; None, with a complaint, where it cannot be told."""
        run, done = row.text(_RUN_ID), row.text(_DONE)
        if run is None or "/" in run or "\0" in run or run in (".", ".."):
            row.complain(f"{_RUN_ID} is {quoted(run or '')}, no name of a run's folder.")
            return None
        if (first := seen.setdefault(run, line)) != line:
            row.complain(f"the run {quoted(run)} stands in line {first} already; remove one, or rename it.")
            return None
        if done not in ("TODO", "DONE"):
            row.complain(f"{_DONE} of {quoted(run)} is {quoted(done or '')}, neither TODO nor DONE.")
            return None
        return run

    def _has_columns(self, table: CsvTable) -> bool:
        needed = {_RUN_ID: _RUN_ID, _DONE: _DONE} | columns_of(self._mapping)
        needed |= dict(metric_columns(self._mapping.metrics))
        lacking = {what: column for what, column in needed.items() if table.place(column) is None}
        for what, column in lacking.items():
            by = "" if what == column else f" ({what} of the mapping)"
            self._complaints.add(table.path, f"{table.lacks(column)}{by}")
        return not lacking

    def _read_run(self, row: Row, it: _Table, run: str, identity: Identity | None) -> None:
        folder = self._root / it.folder / run
        entries = self._entries.get(run if it.folder == "." else f"{it.folder}/{run}")
        if entries is None:
            return  # it cannot be read, as was said
        traces = read_traces(self._reader, folder, entries.files, self._zone)
        joules = joules_of(row, self._mapping.metrics)
        if identity is None:
            return
        values = values_of(row, self._mapping.metrics, identity, self._zone)
        column = self._mapping.metrics.energy_reported_j
        decision = decide(joules, traces, self._mapping.traces, by=self._mapping.reported_by) if column else None
        if decision is not None and decision.energy.repair is not None:
            what = "energy repaired" if decision.energy.repaired else decision.energy.repair
            self._notes.append(f"{folder}: {what}")
        self._runs.append(
            ImportedRun(
                folder=it.folder,
                run=run,
                content=_content(row, traces),
                identity=identity,
                values=values if values.started_at is not None else replace(values, started_at=traces.started_at),
                energy=decision.energy if decision else NOT_REPORTED,
                readings=(*traces.readings(), *(decision.readings if decision else ())),
            )
        )

    def _shown_notes(self) -> Sequence[str]:
        more = len(self._notes) - _MOST_NOTES
        return self._notes if more <= 0 else [*self._notes[:_MOST_NOTES], f"and {more} more"]


def _content(row: Row, traces: RunTraces) -> str:
    """A digest of all that was read of a run."""
    return digest([list(row.cells), [list(pair) for pair in traces.digests]])
