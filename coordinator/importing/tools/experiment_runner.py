"""The output of Experiment Runner: folders within folders, each experiment with a table and a folder for each run."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace

from coordinator.importing.mapping.spec import ExperimentRunnerMapping, FolderFacts
from coordinator.importing.model import NOT_REPORTED, Identity, ImportedRun, Package
from coordinator.importing.problems import quoted
from coordinator.importing.tables.csv import CsvTable
from coordinator.importing.tables.folders import natural_path, walk
from coordinator.importing.tables.identity import Row, identity_of, machine_of
from coordinator.importing.tables.metrics import joules_of, values_of
from coordinator.importing.tools.base import PackageReader
from coordinator.importing.traces.energy import decide
from coordinator.importing.traces.powerjoular import RunTraces, read_traces
from joulefleet.digest import digest

TABLE = "run_table.csv"

_RUN_FOLDER = re.compile(r"run_[0-9]+(_repetition_[0-9]+)?")
_RUN_ID, _DONE = "__run_id", "__done"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Experiment:
    """A table, its relative folder, and the facts that the rules of the mapping give for the folder."""

    folder: str
    table: CsvTable
    facts: FolderFacts


class RunTableReader(PackageReader[ExperimentRunnerMapping]):
    """Reads each `run_table.csv` at the root or below, and the traces in the folders of its runs."""

    tool = "experiment-runner"
    required = (_RUN_ID, _DONE)

    def read(self) -> Package:
        """Return all runs. Raises StudyError with all problems of the data."""
        if not os.path.isdir(self._root):  # noqa: PTH112 - Path.is_dir raises for a name that is too long
            self._problems.add(self._root, "not a folder; name the folder that holds the experiments.")
            self._problems.raise_if_any()
        self._entries = walk(self._root, self._problems)
        experiments = self._experiments()
        for experiment in experiments:
            self._read_table(experiment)
        if experiments and not self._runs and not self._problems.messages:
            self._problems.add(self._root, f"no run is DONE in any {TABLE}; there is nothing to import.")
        return self._package(len(experiments))

    def _experiments(self) -> list[_Experiment]:
        with_table = sorted(
            (name for name, entries in self._entries.items() if TABLE in entries.files), key=natural_path
        )
        if not with_table:
            self._problems.add(self._root, f"no {TABLE} in it or below; name the folder that holds the experiments.")
            return []
        left_out = [name for name in self._entries if self._rules.leaves_out(name)]
        experiments = []
        for folder in with_table:
            if folder in left_out:
                continue
            path = self._root / folder / TABLE
            facts = self._rules.facts(folder, path)
            table = self._csv.read(path)
            if table is not None:
                experiments.append(_Experiment(folder=folder, table=table, facts=facts))
        for folder, entries in self._entries.items():
            runs = sorted(name for name in entries.folders if _RUN_FOLDER.fullmatch(name))
            if runs and TABLE not in entries.files and folder not in left_out:
                text = f"holds {runs[0]} and no {TABLE}; put it back, or leave the folder out (`folders: leave_out`)."
                self._problems.add(self._root / folder, text)
        self._rules.report_unused(self._mapping_name, with_table, f"a {TABLE}")
        if len(left_out) >= len(with_table) and not experiments and not self._problems.messages:
            self._problems.add(self._root, "every folder is left out; there is nothing to import.")
        return experiments

    def _read_table(self, experiment: _Experiment) -> None:
        if not self._has_columns(experiment.table):
            return
        folders = self._entries[experiment.folder].folders
        seen: dict[str, int] = {}
        for csv_row in experiment.table.rows:
            row = Row(experiment.table, csv_row, self._problems)
            run = self._run_id(row, csv_row.line, seen)
            if run is None:
                continue
            machine = machine_of(row, experiment.facts, self._mapping, self._machines)
            identity = identity_of(row, experiment.facts, self._mapping, machine)
            if identity is not None:
                self._planned.append(identity)
            if row.text(_DONE) != "DONE":
                continue
            if run in folders:
                self._read_run(row, experiment, run, identity)
            else:
                row.add_problem(f"the folder {quoted(run)} of this run is missing; put it back, or remove the row.")
        for name in sorted(folders - seen.keys()):
            if _RUN_FOLDER.fullmatch(name):
                folder = experiment.table.path.parent / name
                self._notes.append(f"{folder}: no row of {TABLE} is about this folder; not imported")

    def _run_id(self, row: Row, line: int, seen: dict[str, int]) -> str | None:
        """Return the name of the run in `row`; None, after adding a problem, if it has none. Add it to `seen`."""
        run, done = row.text(_RUN_ID), row.text(_DONE)
        if run is None or "/" in run or "\0" in run or run in (".", ".."):
            row.add_problem(f"{_RUN_ID} is {quoted(run or '')}, no name of a run's folder.")
            return None
        if (first := seen.setdefault(run, line)) != line:
            row.add_problem(f"the run {quoted(run)} is also in line {first}; remove one, or rename it.")
            return None
        if done not in ("TODO", "DONE"):
            row.add_problem(f"{_DONE} of {quoted(run)} is {quoted(done or '')}, neither TODO nor DONE.")
            return None
        return run

    def _read_run(self, row: Row, experiment: _Experiment, run: str, identity: Identity | None) -> None:
        folder = self._root / experiment.folder / run
        entries = self._entries.get(run if experiment.folder == "." else f"{experiment.folder}/{run}")
        if entries is None:
            return  # `walk` has added the problem that it cannot be read
        traces = read_traces(self._csv, folder, entries.files, self._zone)
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
                folder=experiment.folder,
                run=run,
                content=_content(row, traces),
                identity=identity,
                values=values if values.started_at is not None else replace(values, started_at=traces.started_at),
                energy=decision.energy if decision else NOT_REPORTED,
                readings=(*traces.readings(), *(decision.readings if decision else ())),
            )
        )


def _content(row: Row, traces: RunTraces) -> str:
    """Return the digest of everything that was read of a run."""
    return digest([list(row.cells), [list(pair) for pair in traces.digests]])
