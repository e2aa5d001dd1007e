"""The output of CodeCarbon."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from coordinator.importing.mapping.load import mapping_of
from coordinator.importing.mapping.spec import CodecarbonMapping
from coordinator.importing.model import Package
from coordinator.importing.tools.codecarbon import EmissionsReader
from joulefleet.errors import StudyError
from joulefleet.yamlfile.reader import parse_yaml
from tests.support.replication_package import write_csv

MAPPING = """\
model: {column: project_name, values: {bert-run: bert, distilbert-run: distilbert}}
task: {value: sst2}
machines: {laptop: {cpu_model: Fake CPU, logical_cpus: 8}}
pairs: {bert: {teacher: bert, student: distilbert}}
time_zone: Europe/Amsterdam
"""

VERSION_2: dict[str, str] = {
    "timestamp": "2024-05-17T10:01:02",
    "project_name": "bert-run",
    "run_id": "a",
    "experiment_id": "5b0fa12a",
    "duration": "12.5",
    "emissions": "1.2e-05",
    "emissions_rate": "9.6e-07",
    "cpu_power": "42.5",
    "gpu_power": "0.0",
    "ram_power": "5.8",
    "cpu_energy": "0.00015",
    "gpu_energy": "0",
    "ram_energy": "2e-05",
    "energy_consumed": "0.00017",
    "country_name": "Netherlands",
    "country_iso_code": "NLD",
    "region": "north holland",
    "cloud_provider": "",
    "cloud_region": "",
    "os": "Linux-6.1",
    "python_version": "3.11.4",
    "codecarbon_version": "2.8.4",
    "cpu_count": "8",
    "cpu_model": "Fake CPU",
    "gpu_count": "",
    "gpu_model": "",
    "longitude": "4.9",
    "latitude": "52.4",
    "ram_total_size": "15.5",
    "tracking_mode": "machine",
    "on_cloud": "N",
    "pue": "1.0",
}

VERSION_3 = VERSION_2 | {
    "codecarbon_version": "3.3.2",
    "water_consumed": "0.0",
    "cpu_utilization_percent": "61.5",
    "gpu_utilization_percent": "0.0",
    "ram_utilization_percent": "31.0",
    "ram_used_gb": "4.8",
    "wue": "0",
}


def write(path: Path, *rows: dict[str, str]) -> Path:
    """Write a file of these rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_csv(path, list(rows[0]), [list(row.values()) for row in rows])
    return path


def read(path: Path, mapping: str = MAPPING) -> Package:
    """Return the runs at `path`."""
    spec = mapping_of(parse_yaml(mapping, name="m"), CodecarbonMapping, name="m")
    return EmissionsReader(path, spec, mapping_name="m").read()


def mistakes(path: Path, mapping: str = MAPPING) -> tuple[str, ...]:
    """Return the problems of the data, without the path of the folder."""
    with pytest.raises(StudyError) as caught:
        read(path, mapping)
    return tuple(problem.replace(f"{path.parent}/", "") for problem in caught.value.problems)


@pytest.mark.parametrize("row", [VERSION_2, VERSION_3])
def test_a_row_is_a_run(tmp_path: Path, row: dict[str, str]) -> None:
    """CodeCarbon does not state whether its energy was measured, and neither does the import."""
    (run,) = read(write(tmp_path / "emissions.csv", row)).runs
    assert run.energy.joules == pytest.approx(612.0, rel=1e-12)
    version = row["codecarbon_version"]
    by = f"codecarbon {version}, tracking_mode machine: unknown whether measured or modelled"
    assert (run.energy.by, run.energy.repair) == (by, None)
    assert run.values.window_s == 12.5
    # The timestamp is of the end, and of the mapping's time zone.
    assert run.values.started_at == datetime(2024, 5, 17, 8, 0, 49, 500_000, tzinfo=UTC)
    assert (run.identity.model, run.identity.task, run.identity.machine.name) == ("bert", "sst2", "laptop")
    machine = run.identity.machine.record
    assert (machine.cpu_model, machine.logical_cpus, machine.memory_bytes) == ("Fake CPU", 8, 31 << 29)
    assert (run.os, run.libraries) == ("Linux-6.1", {"codecarbon": version, "python": "3.11.4"})


def test_a_machine_without_a_name_is_called_by_its_cpu(tmp_path: Path) -> None:
    """Its id is made of CPU model and number of CPUs, so it is the same in every import."""
    path = write(tmp_path / "emissions.csv", VERSION_3, VERSION_3 | {"run_id": "b", "cpu_count": "16"})
    first, second = (run.identity.machine for run in read(path).runs)
    assert (first.name, second.name) == ("laptop", "Fake CPU")
    assert first.machine_id != second.machine_id
    assert second.machine_id == read(path).runs[1].identity.machine.machine_id


def test_rules_tell_files_of_different_folders_apart(tmp_path: Path) -> None:
    """The rules are the same as for Experiment Runner."""
    write(tmp_path / "one" / "emissions.csv", VERSION_2)
    write(tmp_path / "two" / "deep" / "emissions.csv", VERSION_3 | {"run_id": "b"})
    write(tmp_path / "two" / "emissions_base.csv", VERSION_3)
    rules = "folders: [{match: one, task: mnli}, {match: two/**, task: stsb, batch_size: 8}]"
    runs = read(tmp_path, MAPPING.replace("task: {value: sst2}", rules)).runs
    assert [(run.folder, run.identity.task, run.identity.batch_size) for run in runs] == [
        ("one", "mnli", None),
        ("two/deep", "stsb", 8),
    ]


def test_each_task_of_a_run_is_a_run(tmp_path: Path) -> None:
    """In a file of tasks, all tasks have the id of their run."""
    rows = [VERSION_3 | {"task_name": name} for name in ("load", "infer")]
    mapping = MAPPING.replace("{value: sst2}", "{column: task_name}")
    runs = read(write(tmp_path / "tasks.csv", *rows), mapping).runs
    assert [(run.run, run.identity.task) for run in runs] == [("a/load", "load"), ("a/infer", "infer")]


def test_other_columns_may_be_metrics(tmp_path: Path) -> None:
    """A share of all cores uses the number of CPUs in the row."""
    metrics = "metrics: {cpu_percent: {column: cpu_utilization_percent, unit: percent of all cores}}\nitems: 872\n"
    (run,) = read(write(tmp_path / "emissions.csv", VERSION_3), MAPPING + metrics).runs
    assert (run.values.cpu_percent, run.values.items) == (492.0, 872)


def test_energy_below_zero_is_none(tmp_path: Path) -> None:
    """There is no trace to repair it by."""
    package = read(write(tmp_path / "emissions.csv", VERSION_2 | {"energy_consumed": "-0.05"}))
    assert package.runs[0].energy.joules is None
    assert "energy_consumed is -180000 J, below zero" in package.notes[0]


CASES: list[tuple[dict[str, Any], str]] = [
    ({"energy_consumed": "much"}, "emissions.csv:2: energy_consumed is 'much', no finite number"),
    ({"duration": "0"}, "emissions.csv:2: duration is 0"),
    ({"duration": "-1"}, "emissions.csv:2: duration is below 0"),
    ({"duration": "1e300"}, "emissions.csv:2: duration is too long"),
    ({"timestamp": "yesterday"}, "emissions.csv:2: timestamp is 'yesterday', no date and time"),
    ({"run_id": ""}, "emissions.csv:2: run_id is empty"),
    ({"cpu_model": ""}, "emissions.csv:2: cpu_model is empty; give the machine"),
    ({"project_name": "gpt"}, "emissions.csv:2: project_name is 'gpt', which `model: values`"),
]


@pytest.mark.parametrize(("change", "problem"), CASES)
def test_an_impossible_row_is_a_problem(tmp_path: Path, change: dict[str, str], problem: str) -> None:
    """The message names the line."""
    assert mistakes(write(tmp_path / "emissions.csv", VERSION_3 | change))[0].startswith(problem)


def test_a_file_that_is_not_of_codecarbon_is_a_problem(tmp_path: Path) -> None:
    """Columns may be missing, a run may be there twice, or there is no file at all."""
    lacking = mistakes(write(tmp_path / "emissions.csv", {"project_name": "x", "energy": "1"}))
    assert [text.split(";")[0] for text in lacking] == [
        f"emissions.csv: no column '{name}'" for name in ("timestamp", "run_id", "duration", "energy_consumed")
    ]
    (twice,) = mistakes(write(tmp_path / "emissions.csv", VERSION_3, VERSION_3))
    assert "keep only the last row of each run" in twice
    assert mistakes(tmp_path / "none")[0].startswith("none: neither a file nor a folder")
    (tmp_path / "empty").mkdir()
    assert mistakes(tmp_path / "empty")[0].startswith("empty: no emissions.csv in it or below")


def test_two_machines_of_one_cpu_must_be_told_apart(tmp_path: Path) -> None:
    """No column of CodeCarbon names the machine."""
    path = write(tmp_path / "emissions.csv", VERSION_3)
    both = MAPPING.replace("logical_cpus: 8}", "logical_cpus: 8}, other: {cpu_model: Fake CPU}")
    assert "laptop and other both match this row" in mistakes(path, both)[0]
    (run,) = read(path, both + "machine: {value: other}\n").runs
    assert run.identity.machine.name == "other"
