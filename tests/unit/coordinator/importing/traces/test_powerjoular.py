"""The traces in the folder of a run."""

from __future__ import annotations

from datetime import UTC, datetime
from math import isnan
from pathlib import Path

import pytest

from coordinator.importing.problems import ImportProblems
from coordinator.importing.tables.csv import CsvReader
from coordinator.importing.traces.powerjoular import RunTraces, read_traces, repaired_readings

MACHINE = "Date,CPU Utilization,Total Power,CPU Power,GPU Power\n"
PROCESS = "Date,CPU Utilization,CPU Power\n"


def read(folder: Path, **files: str) -> tuple[RunTraces, list[str]]:
    """Write `files` into `folder`, named by their keys; return the traces and the problems."""
    problems = ImportProblems()
    names = {"machine": "powerjoular.csv", "one": "powerjoular.csv-7.csv", "two": "powerjoular.csv-8.csv"}
    for key, text in files.items():
        (folder / names.get(key, "raw_data.csv")).write_text(text)
    traces = read_traces(CsvReader(problems), folder, [path.name for path in folder.iterdir()], UTC)
    return traces, [message.replace(f"{folder}/", "") for message in problems.messages]


def test_traces_of_machine_process_and_memory_are_read(tmp_path: Path) -> None:
    """Their times count from the first date of any of them, in the order machine, process, memory."""
    traces, problems = read(
        tmp_path,
        machine=f"{MACHINE}2023-05-17 10:00:00,0.5,44.5,44.0,0.5\n2023-05-17 10:00:01,0.5,45.5,45.0,0.5\n",
        one=f"{PROCESS}2023-05-17 10:00:01,0.4,43.0\n",
        memory="mem_usage\n5.5\n5.6\n",
    )
    assert not problems
    assert traces.started_at == datetime(2023, 5, 17, 10, 0, 1, tzinfo=UTC)
    assert [name for name, _ in traces.digests] == ["powerjoular.csv", "powerjoular.csv-7.csv", "raw_data.csv"]
    readings = {series.channel.name: series for series in traces.readings()}
    assert list(readings["machine.total_power"].value) == [44.5, 45.5]
    assert list(readings["process.cpu_power"].t_ns) == [1_000_000_000]
    assert list(readings["memory"].t_ns) == [0, 1_000_000_000]
    assert (readings["memory"].channel.unit, readings["machine.cpu_power"].channel.unit) == ("%", "W")


def test_several_processes_are_named_by_their_ids(tmp_path: Path) -> None:
    """One alone is `process`."""
    row = "2023-05-17 10:00:00,0.4,43.0\n"
    traces, _ = read(tmp_path, one=PROCESS + row, two=PROCESS + row)
    assert [trace.subject for trace in traces.processes] == ["process.7", "process.8"]


def test_an_empty_sample_is_not_a_number(tmp_path: Path) -> None:
    """It is neither 0 nor a mistake."""
    traces, problems = read(tmp_path, one=f"{PROCESS}2023-05-17 10:00:00,NaN,\n")
    assert not problems
    assert all(isnan(value) for column in traces.processes[0].columns.values() for value in column)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{PROCESS}17 May,0.4,43.0\n", "powerjoular.csv-7.csv:2: Date is '17 May', no date and time; fix the row"),
        (f"{PROCESS}2023-05-17,0.4,lots\n", "powerjoular.csv-7.csv:2: CPU Power is 'lots', no possible number; fix"),
        (f"{PROCESS}2023-05-17,0.4,1e300\n", "powerjoular.csv-7.csv:2: CPU Power is '1e300', no possible number"),
        ("Date,Power\n2023-05-17,1\n", "powerjoular.csv-7.csv: no column 'CPU Power'; did you mean 'Power'?"),
        ("CPU Power\n1\n", "powerjoular.csv-7.csv: no column 'Date'"),
    ],
)
def test_a_trace_that_cannot_be_used_is_a_problem(tmp_path: Path, text: str, problem: str) -> None:
    """The message names the file, and the line where there is one."""
    _, problems = read(tmp_path, one=text)
    assert len(problems) == 1
    assert problems[0].startswith(problem)


def test_a_folder_without_traces_has_none(tmp_path: Path) -> None:
    """Experiment Runner works without PowerJoular."""
    traces, problems = read(tmp_path)
    assert not problems
    assert (traces.machine, traces.processes, traces.memory, traces.started_at) == (None, (), None, None)
    assert traces.readings() == ()


def test_the_repaired_power_is_a_channel_of_its_own(tmp_path: Path) -> None:
    """The recorded values stay as they are."""
    traces, _ = read(tmp_path, one=f"{PROCESS}2023-05-17 10:00:01,0.4,-253748.125\n")
    readings = repaired_readings(traces.processes[0], [42.5], datetime(2023, 5, 17, 10, tzinfo=UTC))
    assert readings.channel.name == "process.cpu_power_repaired"
    assert (list(readings.t_ns), list(readings.value)) == ([1_000_000_000], [42.5])
    assert list(traces.processes[0].columns["CPU Power"]) == [-253748.125]
