"""Reads the traces in the folder of a run: PowerJoular's of the machine and of processes, and one of memory."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from math import nan
from pathlib import Path

from agent.results.series import thinned
from coordinator.importing.problems import quoted
from coordinator.importing.tables.csv import CsvReader, CsvTable, number
from coordinator.importing.tables.metrics import parsed_moment
from coordinator.importing.traces.counter_wrap import Moment, PowerTrace
from joulefleet.measurement import Channel, Readings

MACHINE_FILE = "powerjoular.csv"
MEMORY_FILE = "raw_data.csv"
SOURCE = "powerjoular"

_PROCESS_FILE = re.compile(r"powerjoular\.csv-([0-9]+)\.csv")
_POWER = "CPU Power"
_TOTAL = "Total Power"
_MAX_DURATION = timedelta(days=366)
_MAX_VALUE = 1e12
"""Greatest value that is believed: no machine draws so many watts, even if a counter wrapped."""

_COLUMNS = {"CPU Utilization": "", _TOTAL: "W", _POWER: "W", "GPU Power": "W"}
"""Columns that PowerJoular records, and their units; it states none for the utilisation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerJoularTrace:
    """One file of PowerJoular: its samples, column by column."""

    subject: str
    """`machine` or `process`; with several processes `process.PID`."""
    dates: Sequence[str]
    times: Sequence[datetime]
    columns: Mapping[str, Sequence[float]]

    def power(self, column: str = _POWER) -> PowerTrace | None:
        """Return the samples of `column`, W; None if the file has no such column."""
        watts = self.columns.get(column)
        return None if watts is None else PowerTrace(moments=_moments(self.dates), watts=watts)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTraces:
    """The traces in the folder of a run."""

    machine: PowerJoularTrace | None
    processes: tuple[PowerJoularTrace, ...]
    memory: Sequence[float] | None
    """Memory in use, per cent of the machine's, once a second."""
    digests: tuple[tuple[str, str], ...]
    """Name and SHA-256 of each file that was read, in the order of reading."""

    @property
    def started_at(self) -> datetime | None:
        """First date of the process's trace, else of the machine's."""
        starts = [trace.times[0] for trace in self.processes if trace.times]
        if not starts and self.machine is not None and self.machine.times:
            starts = [self.machine.times[0]]
        return min(starts, default=None)

    def readings(self) -> tuple[Readings, ...]:
        """Return every trace as readings with the recorded values; times count from the first date of any trace."""
        traces = [trace for trace in (self.machine, *self.processes) if trace is not None and trace.times]
        first = min((min(trace.times) for trace in traces), default=None)
        readings = [series for trace in traces for series in _readings(trace, first)]
        if self.memory:
            seconds = array("q", (index * 1_000_000_000 for index in range(len(self.memory))))
            readings.append(_series("memory", "%", seconds, self.memory, source=MEMORY_FILE))
        return tuple(readings)


def read_traces(reader: CsvReader, folder: Path, files: Iterable[str], zone: tzinfo) -> RunTraces:
    """Read the traces among the `files` of a run's `folder`; add a problem for each that cannot be used.

    `zone` is the time zone of dates that name none.
    """
    names = sorted(files)
    processes = [name for name in names if _PROCESS_FILE.fullmatch(name)]
    digests = []
    traces: dict[str, PowerJoularTrace] = {}
    for name in [name for name in names if name == MACHINE_FILE] + processes:
        table = reader.read(folder / name)
        if table is not None:
            digests.append((name, table.sha256))
            trace = _trace(reader, table, _subject(name, alone=len(processes) == 1), zone)
            if trace is not None:
                traces[name] = trace
    times = [time for trace in traces.values() for time in trace.times]
    if times and max(times) - min(times) > _MAX_DURATION:
        reader.problems.add(folder, "the dates of its traces are over a year apart; fix them, or remove the traces.")
        traces = {}
    memory = None
    if MEMORY_FILE in names and (table := reader.read(folder / MEMORY_FILE)) is not None:
        digests.append((MEMORY_FILE, table.sha256))
        column = table.index_of("mem_usage")
        memory = None if column is None else _numbers(reader, table, column)
    return RunTraces(
        machine=traces.get(MACHINE_FILE),
        processes=tuple(traces[name] for name in processes if name in traces),
        memory=memory,
        digests=tuple(digests),
    )


def repaired_readings(trace: PowerJoularTrace, watts: Sequence[float], first: datetime) -> Readings:
    """Return the repaired power of `trace`, W, as a channel of its own; times count from `first`."""
    return _series(f"{trace.subject}.cpu_power_repaired", "W", _since(trace, first), watts, source=SOURCE)


def _subject(file: str, *, alone: bool) -> str:
    match = _PROCESS_FILE.fullmatch(file)
    if match is None:
        return "machine"
    return "process" if alone else f"process.{match[1]}"


def _trace(reader: CsvReader, table: CsvTable, subject: str, zone: tzinfo) -> PowerJoularTrace | None:
    date = table.index_of("Date")
    if date is None or table.index_of(_POWER) is None:
        reader.problems.add(table.path, table.missing_text("Date" if date is None else _POWER))
        return None
    dates, times = [], []
    for row in table.rows:
        text = row.cells[date].strip()
        moment = parsed_moment(text, zone)
        if moment is None:
            text = f"Date is {quoted(text)}, no date and time; fix the row or remove it."
            reader.problems.add(table.path, text, line=row.line)
            return None
        dates.append(text)
        times.append(moment)
    columns = {name: _numbers(reader, table, index) for name in _COLUMNS if (index := table.index_of(name)) is not None}
    return PowerJoularTrace(subject=subject, dates=dates, times=times, columns=columns)


def _numbers(reader: CsvReader, table: CsvTable, column: int) -> array[float]:
    """Return the numbers of a column; NaN where the cell is empty or `nan`."""
    numbers = array("d")
    for row in table.rows:
        text = row.cells[column].strip()
        value = nan if text.lower() in ("", "nan") else number(text)
        if value is None or abs(value) > _MAX_VALUE:
            text = f"{table.header[column]} is {quoted(text)}, no possible number; fix the row or remove it."
            reader.problems.add(table.path, text, line=row.line)
        numbers.append(nan if value is None else value)
    return numbers


def _moments(dates: Sequence[str]) -> list[Moment]:
    seen: Counter[str] = Counter()
    moments = []
    for date in dates:
        moments.append((date, seen[date]))
        seen[date] += 1
    return moments


def _readings(trace: PowerJoularTrace, first: datetime | None) -> Iterable[Readings]:
    assert first is not None
    since = _since(trace, first)
    for column, values in trace.columns.items():
        name = column.lower().replace(" ", "_")
        yield _series(f"{trace.subject}.{name}", _COLUMNS[column], since, values, source=SOURCE)


def _since(trace: PowerJoularTrace, first: datetime) -> Sequence[int]:
    """Return the times of the samples after `first`, ns, thinned as the values are; the dates have whole seconds."""
    return thinned(array("q", ((time - first) // timedelta(microseconds=1) * 1000 for time in trace.times)))


def _series(name: str, unit: str, t_ns: Sequence[int], values: Sequence[float], *, source: str) -> Readings:
    channel = Channel(name=name, unit=unit, kind="gauge", source=source)
    return Readings(channel=channel, t_ns=thinned(t_ns), value=array("d", thinned(values)))
