"""A generated replication package as Experiment Runner and PowerJoular write one, with two counters that wrapped."""

from __future__ import annotations

import csv
import json
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

EXPERIMENTS = (
    ("bert/experiment_1", 6),
    ("bert/experiment_2", 5),
    ("distilbert/experiment_1", 10),
    ("gpt2/parts/one", 5),
    ("gpt2/parts/two", 5),
    ("distilgpt2/experiment_1", 11),
)
"""42 runs: the folder of each experiment, and its runs that were done."""

NEVER_DONE = {"distilgpt2/experiment_1": 2}
"""Rows that are TODO."""

MAPPING = """\
name: published
machines:
  server: {cpu_model: Fake CPU 9000, logical_cpus: 32, memory_bytes: 405000000000}
metrics:
  energy_reported_j: {column: total_energy}
  window_s: {column: total_inference_time}
  cpu_percent: {column: avg_cpu, unit: fraction of all cores}
  mean_rss_bytes: {column: avg_memory, unit: percent of memory}
reported_by: "PowerJoular: the process's share of RAPL power"
task: {value: glue}
folders:
  - {match: bert/**, model: bert}
  - {match: distilbert/**, model: distilbert}
  - {match: gpt2/**, model: gpt2}
  - {match: distilgpt2/**, model: distilgpt2}
pairs:
  bert: {teacher: bert, student: distilbert}
  gpt2: {teacher: gpt2, student: distilgpt2}
"""
"""All that an import needs beside the folders."""

_WATTS = {"bert": 44.0, "distilbert": 43.0, "gpt2": 46.5, "distilgpt2": 45.0}
_SECONDS = {"bert": 60, "distilbert": 31, "gpt2": 70, "distilgpt2": 36}


@dataclass(frozen=True, slots=True)
class Wrap:
    """A second in which the machine's counter wrapped, and the machine's power in the seconds around it, W."""

    machine_w: float
    process_w: float
    before_w: float
    after_w: float


WRAPS = {
    ("bert/experiment_2", "run_3"): Wrap(-262099.3125, -253748.125, 43.77, 44.38),
    ("gpt2/parts/one", "run_1"): Wrap(-262096.20313, -257532.359, 46.22, 47.25),
}


@dataclass(slots=True, kw_only=True)
class FakeRun:
    """One run: its row of the table, and its traces."""

    folder: str
    run: str
    row: dict[str, str]
    started: datetime
    machine: list[float] = field(default_factory=list)
    process: list[float] = field(default_factory=list)
    wrap_at: int | None = None


def package_runs() -> list[FakeRun]:
    """Return the 42 runs."""
    rng = random.Random("replication package")
    now = datetime(2023, 5, 17, 10, 1, 2)  # noqa: DTZ001 - PowerJoular names no zone
    runs = []
    for folder, count in EXPERIMENTS:
        for number in range(count):
            run = _run(folder, f"run_{number}", now, rng)
            runs.append(run)
            now += timedelta(seconds=len(run.machine) + 120)
        now += timedelta(days=1)
    return runs


def write_package(root: Path) -> list[FakeRun]:
    """Write the package to `root`; return its runs."""
    runs = package_runs()
    for folder, _ in EXPERIMENTS:
        write_experiment(root / folder, [run for run in runs if run.folder == folder], never=NEVER_DONE.get(folder, 0))
    return runs


def write_experiment(folder: Path, runs: Sequence[FakeRun], *, never: int = 0) -> None:
    """Write an experiment: its table, of which `never` rows are TODO, and a folder for each run."""
    folder.mkdir(parents=True)
    rows = [run.row for run in runs]
    rows += [{"__run_id": f"run_{len(runs) + left}", "__done": "TODO", "run": str(len(runs))} for left in range(never)]
    columns = list(runs[0].row)
    write_csv(folder / "run_table.csv", columns, [[row.get(name, "") for name in columns] for row in rows])
    (folder / "metadata.json").write_text(json.dumps({"config_file": "RunnerConfig.py"}), encoding="utf-8")
    for run in runs:
        write_traces(folder / run.run, run)


def write_traces(folder: Path, run: FakeRun) -> None:
    """Write the folder of one run."""
    folder.mkdir()
    dates = [f"{run.started + timedelta(seconds=second):%Y-%m-%d %H:%M:%S}" for second in range(len(run.machine))]
    machine = [[date, "0.37", repr(watts), repr(watts), "0.0"] for date, watts in zip(dates, run.machine, strict=True)]
    process = [[date, "0.365", repr(watts)] for date, watts in zip(dates, run.process, strict=True)]
    columns = ["Date", "CPU Utilization", "Total Power", "CPU Power", "GPU Power"]
    write_csv(folder / "powerjoular.csv", columns, machine)
    write_csv(folder / "powerjoular.csv-4711.csv", ["Date", "CPU Utilization", "CPU Power"], process)
    write_csv(folder / "raw_data.csv", ["mem_usage"], [["5.7"]] * (len(dates) - 1))


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table with a header."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def _run(folder: str, run: str, started: datetime, rng: random.Random) -> FakeRun:
    model = folder.split("/", maxsplit=1)[0]
    seconds = _SECONDS[model] + rng.randrange(5)
    watts = _WATTS[model]
    machine = [round(watts + rng.uniform(-0.5, 0.5), 5) for _ in range(seconds)]
    process = [round(power * rng.uniform(0.96, 0.99), 5) for power in machine]
    wrap = WRAPS.get((folder, run))
    at = None if wrap is None else seconds // 2
    if wrap is not None and at is not None:
        machine[at - 1 : at + 2] = [wrap.before_w, wrap.machine_w, wrap.after_w]
        process[at] = wrap.process_w
    row = {
        "__run_id": run,
        "__done": "DONE",
        "run": run.removeprefix("run_"),
        "avg_cpu": repr(round(rng.uniform(0.36, 0.37), 6)),
        "avg_memory": repr(round(rng.uniform(5.7, 5.8), 6)),
        # A sum over the trace as it was recorded, whatever wrapped in it.
        "total_energy": repr(math.fsum(process)),
        "total_inference_time": repr(round(seconds - rng.uniform(0.1, 0.9), 6)),
    }
    return FakeRun(folder=folder, run=run, row=row, started=started, machine=machine, process=process, wrap_at=at)
