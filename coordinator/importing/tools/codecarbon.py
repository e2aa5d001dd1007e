"""The output of CodeCarbon: one row a run, in a file emissions.csv, or in those of a folder. Versions 2 and 3."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from coordinator.importing.mapping.spec import CodecarbonMapping, MachineRecord
from coordinator.importing.mapping.units import BYTES, JOULES, zone_of
from coordinator.importing.model import Identity, ImportedMachine, ImportedRun, Package, ReportedEnergy
from coordinator.importing.problems import Complaints, quoted
from coordinator.importing.tables.csv import CsvReader, CsvTable
from coordinator.importing.tables.folders import FolderFacts, Rules, natural_path, walk
from coordinator.importing.tables.identity import Row, columns_of, identity_of, machine_of
from coordinator.importing.tables.metrics import (
    above_zero,
    metric_columns,
    moment,
    not_below,
    scaled,
    values_of,
)
from joulefleet.digest import digest

TOOL = "codecarbon"
FILE = "emissions.csv"

_NEEDED = ("timestamp", "run_id", "duration", "energy_consumed")


def read_package(path: Path, mapping: CodecarbonMapping, *, mapping_name: str, reader: CsvReader) -> Package:
    """All runs in the file, or the files of the folder, `path`. Raises StudyError that names everything wrong."""
    return _EmissionsReader(path, mapping, mapping_name, reader).read()


class _EmissionsReader:
    def __init__(self, path: Path, mapping: CodecarbonMapping, mapping_name: str, reader: CsvReader) -> None:
        self._path = path
        self._mapping = mapping
        self._mapping_name = mapping_name
        self._reader = reader
        self._complaints: Complaints = reader.complaints
        self._zone = zone_of(mapping.time_zone)
        self._runs: list[ImportedRun] = []
        self._planned: list[Identity] = []
        self._notes: list[str] = []
        self._seen: dict[str, str] = {}

    def read(self) -> Package:
        rules = Rules(self._mapping.folders, self._complaints)
        files = self._files(rules)
        for folder, file in files:
            table = self._reader.read(file)
            if table is not None and self._has_columns(table):
                facts = rules.facts(folder, file)
                for line in table.lines:
                    self._read_row(Row(table, line, self._complaints), folder, facts, f"{file}:{line.number}")
        if files:
            rules.complain_of_idle(self._mapping_name, {folder for folder, _ in files}, f"an {FILE}")
            if not self._runs and not self._complaints.found:
                self._complaints.add(self._path, "no run in it; there is nothing to import.")
        self._complaints.settle()
        folders = len({folder for folder, _ in files})
        return Package(tool=TOOL, runs=self._runs, planned=self._planned, folders=folders, notes=self._notes)

    def _files(self, rules: Rules) -> list[tuple[str, Path]]:
        """Each file with the folder that it lies in, relative."""
        # Not by Path, which raises for a name that is too long.
        if os.path.isfile(self._path):  # noqa: PTH113 - see above
            return [(".", self._path)]
        if not os.path.isdir(self._path):  # noqa: PTH112 - see above
            self._complaints.add(self._path, "neither a file nor a folder; name an emissions.csv, or its folder.")
            return []
        entries = walk(self._path, self._complaints)
        found = [
            (folder, self._path / folder / FILE)
            for folder in sorted(entries, key=natural_path)
            if not rules.leaves_out(folder)
            if FILE in entries[folder].files
        ]
        if not found:
            self._complaints.add(self._path, f"no {FILE} in it or below; name the file itself.")
        return found

    def _has_columns(self, table: CsvTable) -> bool:
        needed = {name: name for name in _NEEDED} | columns_of(self._mapping)
        needed |= dict(metric_columns(self._mapping.metrics))
        lacking = {what: column for what, column in needed.items() if table.place(column) is None}
        for what, column in lacking.items():
            by = "" if what == column else f" ({what} of the mapping)"
            self._complaints.add(table.path, f"{table.lacks(column)}{by}")
        return not lacking

    def _read_row(self, row: Row, folder: str, facts: FolderFacts, here: str) -> None:
        run = row.text("run_id")
        if run is None:
            row.complain("run_id is empty.")
            return
        task = row.text("task_name")
        run = run if task is None else f"{run}/{task}"
        if (first := self._seen.setdefault(run, here)) != here:
            row.complain(f"the run {quoted(run)} stands in {first} already; keep the last row of each run.")
            return
        machine = self._machine(row, facts)
        identity = identity_of(row, facts, self._mapping, machine)
        duration = above_zero(row, "duration", 1.0)
        ended = moment(row, "timestamp", "ISO 8601", self._zone)
        energy = self._energy(row)
        if identity is None:
            return
        self._planned.append(identity)
        if energy.repair is not None:
            self._notes.append(f"{here}: {energy.repair}")
        libraries = {"codecarbon": row.text("codecarbon_version"), "python": row.text("python_version")}
        values = values_of(row, self._mapping.metrics, identity, self._zone)
        self._runs.append(
            ImportedRun(
                folder=folder,
                run=run,
                content=digest(list(row.cells)),
                identity=identity,
                values=replace(values, window_s=duration, started_at=_start(row, ended, duration)),
                energy=energy,
                os=row.text("os"),
                libraries={name: version for name, version in libraries.items() if version is not None},
            )
        )

    def _energy(self, row: Row) -> ReportedEnergy:
        joules = scaled(row, "energy_consumed", JOULES["kWh"])
        version, mode = (row.text(name) or "unknown" for name in ("codecarbon_version", "tracking_mode"))
        by = f"codecarbon {version}, tracking_mode {mode}: not said whether measured or modelled"
        if joules is None:
            return ReportedEnergy(joules=None, by=by, repair="no energy: energy_consumed is empty")
        if joules < 0:
            why = f"no energy: energy_consumed is {joules:.10g} J, below zero, and no trace shows why"
            return ReportedEnergy(joules=None, by=by, repair=why)
        return ReportedEnergy(joules=joules, by=by)

    def _machine(self, row: Row, facts: FolderFacts) -> ImportedMachine | None:
        """The machine of the row: as the mapping says, or one that is told by its CPU."""
        known = {name: ImportedMachine(name=name, record=it) for name, it in self._mapping.machines.items()}
        found = _found(row)
        if facts.machine is not None or self._mapping.machine is not None:
            machine = machine_of(row, facts, self._mapping, known)
        elif found.cpu_model is None:
            row.complain("cpu_model is empty; say the machine under `machine` or `folders` of the mapping.")
            return None
        else:
            alike = [machine for machine in known.values() if _is_like(machine.record, found)]
            if len(alike) > 1:
                names = " and ".join(machine.name for machine in alike)
                row.complain(f"{names} are alike; say which it is under `machine` or `folders` of the mapping.")
                return None
            machine = alike[0] if alike else ImportedMachine(name=found.cpu_model, record=MachineRecord())
        if machine is None:
            return None
        record = machine.record
        whole = replace(
            record,
            cpu_model=record.cpu_model or found.cpu_model,
            logical_cpus=record.logical_cpus or found.logical_cpus,
            memory_bytes=record.memory_bytes or found.memory_bytes,
        )
        return ImportedMachine(name=machine.name, record=whole)


def _found(row: Row) -> MachineRecord:
    """The machine as the row has it. CodeCarbon's gigabytes are of 2^30 bytes."""
    cpus = not_below(row, "cpu_count", 1.0)
    memory = not_below(row, "ram_total_size", BYTES["GiB"])
    return MachineRecord(
        cpu_model=row.text("cpu_model"),
        logical_cpus=round(cpus) if cpus else None,
        memory_bytes=round(memory) if memory else None,
    )


def _is_like(record: MachineRecord, found: MachineRecord) -> bool:
    return record.cpu_model == found.cpu_model and record.logical_cpus in (None, found.logical_cpus)


def _start(row: Row, ended: datetime | None, duration_s: float | None) -> datetime | None:
    """CodeCarbon writes its timestamp at the end of the run."""
    if ended is None or duration_s is None:
        return None
    try:
        return ended - timedelta(seconds=duration_s)
    except OverflowError:
        row.complain("duration is longer than there have been times.")
        return None
