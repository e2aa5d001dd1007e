"""The output of Experiment Runner, in the smallest folders that show each rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.importing.mapping.load import mapping_of
from coordinator.importing.mapping.spec import ExperimentRunnerMapping
from coordinator.importing.model import Package
from coordinator.importing.tools.base import MAX_NOTES
from coordinator.importing.tools.experiment_runner import RunTableReader
from joulefleet.errors import StudyError
from joulefleet.yamlfile.reader import parse_yaml

MAPPING = """\
machines: {bench: {}}
metrics: {window_s: {column: seconds}}
model: {value: bert}
task: {value: sst2}
"""


def experiment(folder: Path, *rows: str) -> Path:
    """Write a table of these `rows` (run, done, seconds), and a folder for each run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run_table.csv").write_text("\n".join(["__run_id,__done,seconds", *rows]))
    for row in rows:
        (folder / row.split(",")[0]).mkdir(exist_ok=True)
    return folder


def read(root: Path, mapping: str = MAPPING) -> Package:
    """Return the runs in `root`."""
    spec = mapping_of(parse_yaml(mapping, name="m"), ExperimentRunnerMapping, name="m")
    return RunTableReader(root, spec, mapping_name="m").read()


def test_done_rows_are_runs_and_todo_rows_are_planned(tmp_path: Path) -> None:
    """Runs are ordered as in their tables, the tables by the numbers in their folders."""
    experiment(tmp_path / "e10", "run_0,DONE,3")
    experiment(tmp_path / "e9", "run_0,DONE,1", "run_1,TODO,", "run_2,DONE,2")
    package = read(tmp_path)
    assert [(run.folder, run.run, run.values.window_s) for run in package.runs] == [
        ("e9", "run_0", 1.0),
        ("e9", "run_2", 2.0),
        ("e10", "run_0", 3.0),
    ]
    assert (package.tool, package.folders, len(package.planned)) == ("experiment-runner", 2, 4)


def test_without_a_column_of_energy_none_is_reported(tmp_path: Path) -> None:
    """So there is no reason why it is missing either."""
    (run,) = read(experiment(tmp_path / "e", "run_0,DONE,3")).runs
    assert (run.energy.joules, run.energy.by, run.energy.repair) == (None, None, None)


def test_the_content_of_a_run_is_its_row_and_its_traces(tmp_path: Path) -> None:
    """A changed row is another run."""
    before = read(experiment(tmp_path / "e", "run_0,DONE,3")).runs[0].content
    assert read(experiment(tmp_path / "e", "run_0,DONE,3")).runs[0].content == before
    assert read(experiment(tmp_path / "e", "run_0,DONE,4")).runs[0].content != before


def test_folders_of_runs_without_a_row_are_noted(tmp_path: Path) -> None:
    """Many are counted and not all listed."""
    experiment(tmp_path / "e", "run_0,DONE,3")
    for number in range(1, MAX_NOTES + 3):
        (tmp_path / "e" / f"run_{number}").mkdir()
    notes = read(tmp_path / "e").notes
    assert notes[0].endswith("run_1: no row of run_table.csv is about this folder; not imported")
    assert notes[-1] == "and 2 more"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("..,DONE,1", "__run_id is '..', no name of a run's folder."),
        ("run_0,MAYBE,1", "__done of 'run_0' is 'MAYBE', neither TODO nor DONE."),
        ("run_0,DONE,0", "seconds is 0; fix the cell or empty it."),
    ],
)
def test_a_row_that_cannot_be_used_is_a_problem(tmp_path: Path, row: str, problem: str) -> None:
    """The message names the table and the line."""
    experiment(tmp_path / "e", row)
    with pytest.raises(StudyError) as caught:
        read(tmp_path / "e")
    assert caught.value.problems[0] == f"{tmp_path}/e/run_table.csv:2: {problem}"
