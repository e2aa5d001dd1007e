"""The output of CodeCarbon, versions 2 and 3: one row for each run, in one `emissions.csv` or several in folders."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from coordinator.importing.mapping.spec import CodecarbonMapping, FolderFacts, MachineRecord
from coordinator.importing.mapping.units import BYTES, JOULES
from coordinator.importing.model import ImportedMachine, ImportedRun, Package, ReportedEnergy
from coordinator.importing.problems import quoted
from coordinator.importing.tables.folders import natural_path, walk
from coordinator.importing.tables.identity import Row, identity_of, machine_of
from coordinator.importing.tables.metrics import above_zero, moment, not_below, scaled, values_of
from coordinator.importing.tools.base import PackageReader
from joulefleet.digest import digest

FILE = "emissions.csv"


class EmissionsReader(PackageReader[CodecarbonMapping]):
    """Reads the file at the root, or each `emissions.csv` in the folder at the root and below."""

    tool = "codecarbon"
    required = ("timestamp", "run_id", "duration", "energy_consumed")

    def read(self) -> Package:
        """Return all runs. Raises StudyError with all problems of the data."""
        files = self._files()
        seen: dict[str, str] = {}
        for folder, file in files:
            table = self._csv.read(file)
            if table is not None and self._has_columns(table):
                facts = self._rules.facts(folder, file)
                for row in table.rows:
                    self._read_row(Row(table, row, self._problems), folder, facts, f"{file}:{row.line}", seen)
        folders = {folder for folder, _ in files}
        if files:
            self._rules.report_unused(self._mapping_name, folders, f"an {FILE}")
            if not self._runs and not self._problems.messages:
                self._problems.add(self._root, "no run in it; there is nothing to import.")
        return self._package(len(folders))

    def _files(self) -> list[tuple[str, Path]]:
        """Return each file with its folder, relative to the root."""
        # Path.is_file and Path.is_dir raise for a name that is too long.
        if os.path.isfile(self._root):  # noqa: PTH113 - see above
            return [(".", self._root)]
        if not os.path.isdir(self._root):  # noqa: PTH112 - see above
            self._problems.add(self._root, f"neither a file nor a folder; name an {FILE}, or its folder.")
            return []
        entries = walk(self._root, self._problems)
        files = [
            (folder, self._root / folder / FILE)
            for folder in sorted(entries, key=natural_path)
            if not self._rules.leaves_out(folder)
            if FILE in entries[folder].files
        ]
        if not files:
            self._problems.add(self._root, f"no {FILE} in it or below; name the file itself.")
        return files

    def _read_row(self, row: Row, folder: str, facts: FolderFacts, here: str, seen: dict[str, str]) -> None:
        """Read the run in `row`, which is at `here`; `seen` has the place of each run before it."""
        run = row.text("run_id")
        if run is None:
            row.add_problem("run_id is empty.")
            return
        task = row.text("task_name")
        run = run if task is None else f"{run}/{task}"
        if (first := seen.setdefault(run, here)) != here:
            row.add_problem(f"the run {quoted(run)} is also in {first}; keep only the last row of each run.")
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
        by = f"codecarbon {version}, tracking_mode {mode}: unknown whether measured or modelled"
        if joules is None:
            return ReportedEnergy(joules=None, by=by, repair="no energy: energy_consumed is empty")
        if joules < 0:
            why = f"no energy: energy_consumed is {joules:.10g} J, below zero, and there is no trace to repair it by"
            return ReportedEnergy(joules=None, by=by, repair=why)
        return ReportedEnergy(joules=joules, by=by)

    def _machine(self, row: Row, facts: FolderFacts) -> ImportedMachine | None:
        """Return the machine of `row`: the one that the mapping names, else the one with the CPU of the row."""
        recorded = _recorded_machine(row)
        if facts.machine is not None or self._mapping.machine is not None:
            machine = machine_of(row, facts, self._mapping, self._machines)
        elif recorded.cpu_model is None:
            row.add_problem("cpu_model is empty; give the machine under `machine` or `folders` of the mapping.")
            return None
        else:
            alike = [machine for machine in self._machines.values() if _matches(machine.record, recorded)]
            if len(alike) > 1:
                names = " and ".join(machine.name for machine in alike)
                row.add_problem(
                    f"{names} both match this row; give the machine under `machine` or `folders` of the mapping."
                )
                return None
            machine = alike[0] if alike else ImportedMachine(name=recorded.cpu_model, record=MachineRecord())
        if machine is None:
            return None
        record = machine.record
        complete = replace(
            record,
            cpu_model=record.cpu_model or recorded.cpu_model,
            logical_cpus=record.logical_cpus or recorded.logical_cpus,
            memory_bytes=record.memory_bytes or recorded.memory_bytes,
        )
        return ImportedMachine(name=machine.name, record=complete)


def _recorded_machine(row: Row) -> MachineRecord:
    """Return the machine that `row` describes. A gigabyte of CodeCarbon is 2^30 bytes."""
    cpus = not_below(row, "cpu_count", 1.0)
    memory = not_below(row, "ram_total_size", BYTES["GiB"])
    return MachineRecord(
        cpu_model=row.text("cpu_model"),
        logical_cpus=round(cpus) if cpus else None,
        memory_bytes=round(memory) if memory else None,
    )


def _matches(record: MachineRecord, recorded: MachineRecord) -> bool:
    return record.cpu_model == recorded.cpu_model and record.logical_cpus in (None, recorded.logical_cpus)


def _start(row: Row, ended: datetime | None, duration_s: float | None) -> datetime | None:
    """Return the start of a run; CodeCarbon writes its timestamp at the end of the run."""
    if ended is None or duration_s is None:
        return None
    try:
        return ended - timedelta(seconds=duration_s)
    except OverflowError:
        row.add_problem("duration is too long: the run would have begun before the year 1.")
        return None
