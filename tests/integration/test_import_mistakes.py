"""Problems of the data of other tools: all are reported together, and nothing is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator.importing.commit import commit
from coordinator.importing.mapping.load import mapping_of
from coordinator.importing.mapping.spec import ExperimentRunnerMapping
from coordinator.importing.model import ImportedRun, Package
from coordinator.importing.rows import check_pairs, import_record, run_id
from coordinator.importing.tools.experiment_runner import RunTableReader
from coordinator.store.writer import open_store
from joulefleet.errors import StoreError, StudyError
from joulefleet.store.compaction import compact
from joulefleet.store.records import StudyRecord
from joulefleet.yamlfile.reader import parse_yaml
from tests.support.compaction_crashes import CrashAt, CrashError, attempts_of
from tests.support.replication_package import MAPPING, FakeRun, package_runs, write_experiment, write_package

SMALL = """\
machines: {server: {logical_cpus: 32, memory_bytes: 405000000000}}
metrics:
  energy_reported_j: {column: total_energy}
  window_s: {column: total_inference_time}
reported_by: PowerJoular
model: {value: bert}
task: {value: glue}
"""


def read(root: Path, mapping: str = SMALL) -> Package:
    """Return the runs at `root`."""
    spec = mapping_of(parse_yaml(mapping, name="m"), ExperimentRunnerMapping, name="m")
    package = RunTableReader(root, spec, mapping_name="m").read()
    check_pairs(spec, package, "m")
    return package


def mistakes(root: Path, mapping: str = SMALL) -> list[str]:
    """Return the problems of the data at `root`, without the path of the folder."""
    with pytest.raises(StudyError) as caught:
        read(root, mapping)
    assert "Nothing was imported" in caught.value.cure
    return [problem.replace(f"{root}/", "").replace(str(root), ".") for problem in caught.value.problems]


@pytest.fixture
def runs() -> list[FakeRun]:
    """Return three runs."""
    return package_runs()[:3]


@pytest.fixture
def root(tmp_path: Path, runs: list[FakeRun]) -> Path:
    """Write an experiment of three runs to `one`."""
    write_experiment(tmp_path / "data" / "one", runs)
    return tmp_path / "data"


def edit(path: Path, change: Callable[[str], str]) -> None:
    """Change the text of a file."""
    before = path.read_text()
    path.write_text(change(before))
    assert path.read_text() != before


def test_one_experiment_is_a_package_too(root: Path) -> None:
    """If it is named itself, its folder is `.`."""
    assert [run.folder for run in read(root).runs] == ["one"] * 3
    assert [run.folder for run in read(root / "one").runs] == ["."] * 3


def test_all_problems_are_reported_together(root: Path, runs: list[FakeRun]) -> None:
    """Each problem names its file, its line and a cure."""
    write_experiment(root / "two", runs)
    write_experiment(root / "three", runs)
    (root / "four" / "run_0").mkdir(parents=True)
    edit(root / "one" / "run_table.csv", lambda text: text.replace("total_energy", "energy"))
    edit(
        root / "two" / "run_table.csv",
        lambda text: text.replace(f",{runs[0].row['total_energy']},", ",a lot,").replace("run_2,DONE", "run_1,DONE"),
    )
    edit(root / "three" / "run_table.csv", lambda text: text.replace("run_1,DONE", "run_1,ERROR"))
    (root / "three" / "run_2" / "powerjoular.csv").rename(root / "three" / "run_2" / "kept.csv")
    (root / "three" / "run_2").rename(root / "three" / "elsewhere")
    problems = mistakes(
        root, SMALL + "folders: [{match: five, task: other}]\npairs: {a: {teacher: bert, student: x}}\n"
    )
    assert problems == [
        "four: holds run_0 and no run_table.csv; put it back, or leave the folder out (`folders: leave_out`).",
        "m: folders.0.match: 'five' matches no folder with a run_table.csv; there are 'one', 'three', 'two'.",
        (
            "one/run_table.csv: no column 'total_energy'; did you mean 'energy'? "
            "(metrics.energy_reported_j of the mapping)"
        ),
        "three/run_table.csv:3: __done of 'run_1' is 'ERROR', neither TODO nor DONE.",
        "three/run_table.csv:4: the folder 'run_2' of this run is missing; put it back, or remove the row.",
        "two/run_table.csv:2: total_energy is 'a lot', no finite number; fix the cell or empty it.",
        "two/run_table.csv:4: the run 'run_1' is also in line 3; remove one, or rename it.",
    ]


def test_a_pair_of_models_without_runs_is_a_mistake(root: Path) -> None:
    """The message lists the models that exist."""
    pair = "pairs: {a: {teacher: bert, student: x}}\n"
    assert mistakes(root, SMALL + pair) == ["m: pairs.a.student: no run has the model 'x'; there are bert."]


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "1,5", "1_0", "12 J"])
def test_a_cell_without_a_finite_number_is_named(root: Path, runs: list[FakeRun], text: str) -> None:
    """This holds for the column of any metric."""
    seconds = runs[1].row["total_inference_time"]
    edit(root / "one" / "run_table.csv", lambda table: table.replace(seconds, f'"{text}"'))
    assert mistakes(root) == [
        f"one/run_table.csv:3: total_inference_time is {text!r}, no finite number; fix the cell or empty it."
    ]


def test_an_empty_cell_is_no_value(root: Path, runs: list[FakeRun]) -> None:
    """It is null and never 0; an empty energy has a reason."""
    edit(root / "one" / "run_table.csv", lambda table: table.replace(runs[1].row["total_energy"], ""))
    run = read(root).runs[1]
    assert run.energy.joules is None
    assert run.energy.repair == "no energy: the table states no energy for this run"


def test_a_folder_without_any_table_is_a_mistake(tmp_path: Path) -> None:
    """So is a folder that does not exist."""
    (tmp_path / "data").mkdir()
    assert mistakes(tmp_path / "data") == [
        ".: no run_table.csv in it or below; name the folder that holds the experiments."
    ]
    assert mistakes(tmp_path / "none") == [".: not a folder; name the folder that holds the experiments."]


def test_a_table_without_a_done_row_is_no_result(root: Path) -> None:
    """There is nothing to import."""
    edit(root / "one" / "run_table.csv", lambda text: text.replace("DONE", "TODO"))
    assert mistakes(root) == [".: no run is DONE in any run_table.csv; there is nothing to import."]


def test_files_that_cannot_be_read_are_named(root: Path) -> None:
    """They are not UTF-8, end in the middle, or have invalid dates."""
    (root / "one" / "run_0" / "powerjoular.csv").write_bytes(b"Date,CPU Power\n\xff,1\n")
    edit(root / "one" / "run_1" / "powerjoular.csv", lambda text: text[:-12])
    edit(root / "one" / "run_2" / "powerjoular.csv-4711.csv", lambda text: text.replace("2023-", "2023/"))
    problems = mistakes(root)
    assert problems[0] == "one/run_0/powerjoular.csv:2: not UTF-8; save it as UTF-8."
    assert problems[1].endswith("cells under 5 columns; fix the row or remove it.")
    assert problems[2].startswith("one/run_2/powerjoular.csv-4711.csv:2: Date is '2023/")


def test_impossible_dates_and_watts_are_named(root: Path) -> None:
    """They would not fit into a row."""
    edit(root / "one" / "run_0" / "powerjoular.csv", lambda text: text.replace("2023-", "9023-"))
    edit(root / "one" / "run_1" / "powerjoular.csv", lambda text: text.replace(",0.37,4", ",0.37,1e300", 1))
    problems = mistakes(root)
    assert problems[0] == "one/run_0: the dates of its traces are over a year apart; fix them, or remove the traces."
    assert problems[1].startswith("one/run_1/powerjoular.csv:2: Total Power is '1e3003")


def test_names_with_control_characters_stay_on_one_line(root: Path, runs: list[FakeRun]) -> None:
    """Names of folders and cells may contain quotes, newlines and escapes."""
    odd = root / 'a"b\n\x1b[31m'
    write_experiment(odd, runs)
    edit(odd / "run_table.csv", lambda text: text.replace(runs[0].row["total_energy"], '"x\n""y\x1b"'))
    (problem,) = mistakes(root)
    assert "\n" not in problem
    assert "\x1b" not in problem
    edit(odd / "run_table.csv", lambda text: text.replace('"x\n""y\x1b"', "5"))
    assert {run.folder for run in read(root).runs} == {"one", 'a"b\n\x1b[31m'}


def test_a_run_never_leads_out_of_its_folder(root: Path) -> None:
    """The name of a run in the data may be a path."""
    (root / "secret").mkdir()
    edit(root / "one" / "run_table.csv", lambda text: text.replace("run_1,", "../secret,"))
    assert mistakes(root) == ["one/run_table.csv:3: __run_id is '../secret', no name of a run's folder."]


def test_two_models_for_one_folder_are_a_mistake(root: Path) -> None:
    """A run whose model nothing gives is a mistake too."""
    rules = "folders: [{match: one, model: a}, {match: '*', model: b}]\n"
    assert mistakes(root, SMALL + rules) == [
        "one/run_table.csv: model is a by folders.0 and b by folders.1 of the mapping."
    ]
    problems = mistakes(root, SMALL.replace("model: {value: bert}", ""))
    assert problems[0] == (
        "one/run_table.csv:2: the model is unknown; give it under `folders` or `model` of the mapping."
    )


def test_names_from_columns_must_be_names(root: Path) -> None:
    """`values` gives a name to each text in the column."""
    edit(root / "one" / "run_table.csv", lambda text: text.replace("__done,run,", "__done,model,"))
    column = "model: {column: model, values: {'0': bert}}"
    problems = mistakes(root, SMALL.replace("model: {value: bert}", column))
    assert problems[0].endswith("model is '1', which `model: values` of the mapping does not have.")
    package = read(root, SMALL.replace("model: {value: bert}", "model: {column: model}"))
    assert [run.identity.model for run in package.runs] == ["0", "1", "2"]


def test_folders_may_be_left_out(root: Path) -> None:
    """They may hold a rehearsal, or broken data."""
    (root / "broken" / "run_0").mkdir(parents=True)
    package = read(root, SMALL + "folders: [{match: broken, leave_out: true}, {match: '*', task: glue}]\n")
    assert len(package.runs) == 3


@pytest.mark.parametrize(
    ("lost", "why"),
    [
        (("powerjoular.csv",), "there is no trace of the machine to repair it by"),
        (("powerjoular.csv-4711.csv",), "has traces of no process"),
        (("powerjoular.csv", "powerjoular.csv-4711.csv"), "below zero, and there is no trace to rebuild it from"),
    ],
)
def test_a_wrapped_run_without_its_traces_has_no_energy(tmp_path: Path, lost: tuple[str, ...], why: str) -> None:
    """Its energy is null and never guessed; the reason states the energy of the table, and the import prints it."""
    write_package(tmp_path)
    for name in lost:
        (tmp_path / "bert" / "experiment_2" / "run_3" / name).unlink()
    package = read(tmp_path, MAPPING)
    (run,) = [run for run in package.runs if (run.folder, run.run) == ("bert/experiment_2", "run_3")]
    assert (run.energy.joules, run.energy.repaired) == (None, False)
    assert why in str(run.energy.repair)
    assert "the table says -251" in str(run.energy.repair)
    assert any("run_3" in note and why in note for note in package.notes)


def test_a_machines_total_is_rebuilt_from_the_machines_trace(tmp_path: Path) -> None:
    """The mapping states that the table's energy is the machine's."""
    write_package(tmp_path)
    package = read(tmp_path, MAPPING + "traces: {energy_of: machine}\n")
    (run,) = [run for run in package.runs if (run.folder, run.run) == ("gpt2/parts/one", "run_1")]
    (fake,) = [fake for fake in package_runs() if (fake.folder, fake.run) == ("gpt2/parts/one", "run_1")]
    assert run.energy.joules == pytest.approx(sum(fake.machine) + 262_143.328850, rel=1e-12)


def test_a_wrapped_run_whose_total_is_above_zero_is_repaired_too(tmp_path: Path) -> None:
    """Its total can be positive and still be too small by the range."""
    write_package(tmp_path)
    folder = tmp_path / "bert" / "experiment_2"
    (fake,) = [fake for fake in package_runs() if (fake.folder, fake.run) == ("bert/experiment_2", "run_3")]
    edit(folder / "run_table.csv", lambda text: text.replace(fake.row["total_energy"], "300000.0"))
    (run,) = [run for run in read(tmp_path, MAPPING).runs if (run.folder, run.run) == ("bert/experiment_2", "run_3")]
    assert run.energy.repaired
    assert "The table said 300000.0 J; the trace as recorded adds up to -251" in str(run.energy.repair)


def small_import(root: Path) -> tuple[Package, StudyRecord]:
    """Return a package and its record."""
    package = read(root)
    spec = mapping_of(parse_yaml(SMALL, name="m"), ExperimentRunnerMapping, name="m")
    return package, import_record("one", package, spec, {})


def test_an_import_that_ends_at_any_step_leaves_nothing_or_all(root: Path, tmp_path: Path) -> None:
    """The same import again completes it, also after a compaction in between."""
    package, record = small_import(root)
    counts, steps = [], []
    for number in range(20):
        store = tmp_path / f"store-{number}"
        crash = CrashAt(number)
        with open_store(store, study="import") as writer:
            try:
                commit(writer, package, record, on_step=crash)
            except CrashError:
                steps = crash.steps
            else:
                break
        counts.append(len(attempts_of(store)))
        assert not [path for path in store.rglob("*.tmp") if path.parent.name != "epochs"]
        if number % 2:
            with open_store(store, study="compaction") as writer:
                compact(writer.layout)
        with open_store(store, study="import") as writer:
            commit(writer, package, record)
            assert commit(writer, package, record) == 0
        assert len(attempts_of(store)) == 3
        assert len(list((store / "studies").iterdir())) == 1
    assert steps == ["recording", "recorded", "writing", "written", "checked", "imported", "listed"]
    assert counts == [0, 0, 0, 0, 0, 3, 3]


_KILLED = """
import os, sys
from pathlib import Path
from coordinator.importing.commit import commit
from coordinator.store.writer import open_store
from tests.integration.test_import_mistakes import small_import

class Kill:
    left = int(sys.argv[3])
    def __call__(self, step):
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), 9)

package, record = small_import(Path(sys.argv[1]))
with open_store(Path(sys.argv[2]), study="import") as writer:
    commit(writer, package, record, on_step=Kill())
"""


@pytest.mark.parametrize("step", [2, 3, 5])
def test_an_import_that_was_killed_leaves_nothing_or_all(root: Path, tmp_path: Path, step: int) -> None:
    """What it left behind has no effect, and a compaction removes it."""
    store = tmp_path / "store"
    arguments = (str(root), str(store), str(step))
    repository = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": str(repository)}
    done = subprocess.run([sys.executable, "-c", _KILLED, *arguments], env=environment, check=False)
    assert done.returncode == -9
    assert len(attempts_of(store)) == (0 if step < 5 else 3)
    package, record = small_import(root)
    with open_store(store, study="import") as writer:
        commit(writer, package, record)
        assert len(attempts_of(store)) == 3
        compact(writer.layout)
    assert not list((store / "compacted").glob(".*"))
    assert len(attempts_of(store)) == 3


def test_the_name_of_an_import_that_died_can_be_used_again(root: Path, tmp_path: Path) -> None:
    """The study has a record and no trials, so corrected data may take its place."""
    package, record = small_import(root)
    with open_store(tmp_path / "store", study="import") as writer, pytest.raises(CrashError):
        commit(writer, package, record, on_step=CrashAt(2))
    edit(root / "one" / "run_table.csv", lambda text: text.replace("DONE,0,", "DONE,00,"))
    package, record = small_import(root)
    with open_store(tmp_path / "store", study="import") as writer:
        assert commit(writer, package, record) == 3


def test_a_full_disk_leaves_nothing(root: Path, tmp_path: Path) -> None:
    """The error says so."""
    package, record = small_import(root)
    with open_store(tmp_path / "store", study="import") as writer:
        (tmp_path / "store" / "compacted").mkdir()
        (tmp_path / "store" / "compacted" / f".import.parquet.{os.getpid()}.tmp").symlink_to("/dev/full")
        with pytest.raises(StoreError, match=r"Nothing was imported\. Free some space"):
            commit(writer, package, record)
    assert attempts_of(tmp_path / "store") == []


def test_ids_depend_on_the_data_alone(root: Path, tmp_path: Path) -> None:
    """The place of the folder does not matter; a changed trace does."""

    def ids(runs: list[ImportedRun]) -> list[str]:
        return [run_id("one", "experiment-runner", run) for run in runs]

    before = ids(list(read(root).runs))
    root.rename(tmp_path / "moved")
    assert ids(list(read(tmp_path / "moved").runs)) == before
    edit(tmp_path / "moved" / "one" / "run_1" / "raw_data.csv", lambda text: text.replace("5.7", "5.8", 1))
    after = ids(list(read(tmp_path / "moved").runs))
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True]
