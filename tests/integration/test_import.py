"""The output of Experiment Runner and CodeCarbon, imported from the command line with a mapping alone."""

from __future__ import annotations

import csv
import json
import math
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import typer.testing

from coordinator.__main__ import app
from coordinator.cli.render.status import state_lines
from coordinator.store.status import store_state
from joulefleet.errors import StoreError
from joulefleet.query import Store
from joulefleet.query.progress import progress
from joulefleet.store.layout import StoreLayout
from tests.support.attempt_rows import study_from, twelve_cell_rows, write_store
from tests.support.replication_package import EXPERIMENTS, MAPPING, WRAPS, FakeRun, write_package
from tests.support.tiny_trials import TINY_STUDY

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "how-to-import.md"


@pytest.fixture
def package(tmp_path: Path) -> list[FakeRun]:
    """Write the replication package to `data`, and its mapping to `mapping.yaml`."""
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    return write_package(tmp_path / "data")


def command(*arguments: str) -> str:
    """Return what a command prints. Raises what the command raises."""
    done = typer.testing.CliRunner().invoke(app, list(arguments), catch_exceptions=False, standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.stdout


def import_data(folder: Path, *more: str, mapping: str = "mapping.yaml") -> str:
    """Import `data` of this folder into `store`."""
    places = ("--mapping", str(folder / mapping), "--store", str(folder / "store"))
    return command("import", "experiment-runner", str(folder / "data"), *places, *more)


def rows(store: Path, query: str) -> list[dict[str, Any]]:
    """Return the rows of a query to a store."""
    with Store.open(store) as opened:
        result: list[dict[str, Any]] = opened.arrow(query).to_pylist()
        return result


def test_a_replication_package_is_imported_with_a_mapping_alone(tmp_path: Path, package: list[FakeRun]) -> None:
    """Means and totals of each model agree with an independent computation."""
    output = import_data(tmp_path)
    assert output.startswith("42 runs of 6 folders imported into")
    assert output.endswith("as study published (2 more were planned and never done).\n")
    expected: dict[str, list[list[float]]] = defaultdict(list)
    for folder, _ in EXPERIMENTS:
        with (tmp_path / "data" / folder / "run_table.csv").open(newline="") as file:
            for line in csv.DictReader(file):
                if line["__done"] == "DONE":
                    joules = float(line["total_energy"])
                    if (folder, line["__run_id"]) in WRAPS:
                        joules = repaired_total(tmp_path / "data" / folder / line["__run_id"])
                    seconds, cpu = float(line["total_inference_time"]), float(line["avg_cpu"]) * 32 * 100
                    memory = round(float(line["avg_memory"]) / 100 * 405_000_000_000)
                    expected[folder.split("/", maxsplit=1)[0]].append([joules, seconds, cpu, memory])
    metrics = ("energy_reported_j", "window_s", "cpu_percent", "mean_rss_bytes")
    sums = ", ".join(f"fsum({name}) {name}" for name in metrics)
    query = f"select model, count(*) n, {sums} from trials group by model"  # noqa: S608 - ours
    result = rows(tmp_path / "store", query)
    assert {row["model"]: row["n"] for row in result} == {"bert": 11, "distilbert": 10, "gpt2": 10, "distilgpt2": 11}
    for row in result:
        runs = expected[row["model"]]
        for place, name in enumerate(metrics):
            total = math.fsum(run[place] for run in runs)
            assert row[name] == pytest.approx(total, rel=1e-12)
            assert row[name] / row["n"] == pytest.approx(total / len(runs), rel=1e-12)


def repaired_total(folder: Path) -> float:
    """Return the sum of a run's process trace, repaired in its wrapped second by the formula in the guide."""
    with (folder / "powerjoular.csv").open(newline="") as file:
        machine = [float(line["CPU Power"]) for line in csv.DictReader(file)]
    with (folder / "powerjoular.csv-4711.csv").open(newline="") as file:
        process = [float(line["CPU Power"]) for line in csv.DictReader(file)]
    for second, watts in enumerate(machine):
        if watts < 0:
            process[second] = (watts + 262_143.328850) * (process[second] / watts)
    return math.fsum(process)


def test_the_two_wrapped_seconds_are_repaired_as_published(tmp_path: Path, package: list[FakeRun]) -> None:
    """They are 44.02 and 47.13 W of the machine, 42.61 and 46.31 W of the process; only these two runs are flagged."""
    import_data(tmp_path)
    query = (
        "select trial_id, flags, energy_repair, energy_reported_j, labels from trials where energy_repair is not null"
    )
    flagged = rows(tmp_path / "store", f"{query} order by model")
    assert rows(tmp_path / "store", "select count(*) n from trials where len(flags) > 0") == [{"n": 2}]
    assert [dict(row["labels"]) for row in flagged] == [{"folder": folder, "run": run} for folder, run in WRAPS]
    for row, recorded, watts in zip(
        flagged, (-262099.3125, -262096.20313), (("44.0163", "42.6139"), ("47.1257", "46.3051")), strict=True
    ):
        assert row["flags"] == ["energy_repaired"]
        assert "262143.328850 J" in row["energy_repair"]
        assert f"the machine's {recorded} W became {watts[0]} W" in row["energy_repair"]
        assert f"became {watts[1]} W" in row["energy_repair"]
        assert "The table said -25" in row["energy_repair"]
        assert 2000 < row["energy_reported_j"] < 4000
    channel = "process.cpu_power"
    result = rows(
        tmp_path / "store",
        f"select round(r.value, 2) w from readings r join readings s using (trial_id, t_ns) "  # noqa: S608 - ours
        f"where r.channel = '{channel}_repaired' and s.channel = '{channel}' and s.value < 0 order by w",
    )
    assert [row["w"] for row in result] == [42.61, 46.31]


def test_imported_joules_are_neither_measured_nor_modelled(tmp_path: Path, package: list[FakeRun]) -> None:
    """They are in a column of their own; there is no block and no regime, and each null has a reason."""
    import_data(tmp_path)
    (row,) = rows(
        tmp_path / "store",
        "select distinct imported_from, kind, status, round, energy_j, energy_modelled_j, energy_package_j, "
        "energy_reason, block, regime, reported_by, quality, quality_reason, items from trials",
    )
    assert row == {
        "imported_from": "experiment-runner",
        "kind": "trial",
        "status": "ok",
        "round": 1,
        "energy_j": None,
        "energy_modelled_j": None,
        "energy_package_j": None,
        "energy_reason": "imported from experiment-runner: what it reported is in energy_reported_j",
        "block": None,
        "regime": None,
        "reported_by": "PowerJoular: the process's share of RAPL power",
        "quality": None,
        "quality_reason": "the imported data have none",
        "items": None,
    }
    assert rows(tmp_path / "store", "from energy") == []


def test_runs_are_numbered_and_dated_as_they_ran(tmp_path: Path, package: list[FakeRun]) -> None:
    """The start is the first date of the trace; the numbers continue over both experiments of a model."""
    import_data(tmp_path)
    result = rows(
        tmp_path / "store",
        "select repetition, labels['folder'] folder, labels['run'] run, started_at from trials "
        "where model = 'bert' order by repetition",
    )
    of_bert = [run for run in package if run.folder.startswith("bert/")]
    assert [row["repetition"] for row in result] == list(range(1, 12))
    assert [(row["folder"], row["run"]) for row in result] == [(run.folder, run.run) for run in of_bert]
    assert [row["started_at"].replace(tzinfo=None) for row in result] == [run.started for run in of_bert]


def test_traces_become_readings_as_recorded(tmp_path: Path, package: list[FakeRun]) -> None:
    """Times count in whole seconds from the first date."""
    import_data(tmp_path)
    first = package[0]
    result = rows(
        tmp_path / "store",
        "select channel, unit, source, list(t_ns order by t_ns) t, list(value order by t_ns) v from readings "
        "join trials using (trial_id) where labels['folder'] = 'bert/experiment_1' and labels['run'] = 'run_0' "
        "group by all",
    )
    series = {row["channel"]: row for row in result}
    assert {name: (row["unit"], row["source"]) for name, row in series.items()} == {
        "machine.cpu_utilization": ("", "powerjoular"),
        "machine.total_power": ("W", "powerjoular"),
        "machine.cpu_power": ("W", "powerjoular"),
        "machine.gpu_power": ("W", "powerjoular"),
        "process.cpu_utilization": ("", "powerjoular"),
        "process.cpu_power": ("W", "powerjoular"),
        "memory": ("%", "raw_data.csv"),
    }
    assert series["process.cpu_power"]["v"] == first.process
    assert series["machine.cpu_power"]["t"] == [second * 10**9 for second in range(len(first.machine))]


def test_importing_again_adds_nothing_and_says_so(tmp_path: Path, package: list[FakeRun]) -> None:
    """This also holds after a compaction."""
    import_data(tmp_path)
    before = rows(tmp_path / "store", "select * exclude (readings) from attempts order by attempt_id")
    assert import_data(tmp_path).startswith("Nothing to add: ")
    command("compact", "--store", str(tmp_path / "store"))
    assert import_data(tmp_path).startswith("Nothing to add: ")
    assert rows(tmp_path / "store", "select * exclude (readings) from attempts order by attempt_id") == before
    assert len(list((tmp_path / "store" / "studies").iterdir())) == 1


def test_changed_data_need_another_name(tmp_path: Path, package: list[FakeRun]) -> None:
    """Otherwise two versions of the data would be mixed under one name."""
    import_data(tmp_path)
    table = tmp_path / "data" / "bert" / "experiment_1" / "run_table.csv"
    text = table.read_text()
    table.write_text(text.replace(package[0].row["total_inference_time"], "61.5"))
    with pytest.raises(StoreError, match=r"imported from other data.*--study NAME"):
        import_data(tmp_path)
    table.write_text(text)
    (tmp_path / "other.yaml").write_text(MAPPING.replace("unit: fraction of all cores", "unit: fraction of one core"))
    with pytest.raises(StoreError, match="or by another mapping"):
        import_data(tmp_path, mapping="other.yaml")
    assert import_data(tmp_path, "--study", "again", mapping="other.yaml").startswith("42 runs")
    assert rows(tmp_path / "store", "select study, count(*) n from trials group by study order by study") == [
        {"study": "again", "n": 42},
        {"study": "published", "n": 42},
    ]


def test_status_counts_runs_that_were_never_done(tmp_path: Path, package: list[FakeRun]) -> None:
    """Rows that are TODO were planned; they do not make the study unfinished."""
    import_data(tmp_path)
    with Store.open(tmp_path / "store") as store:
        (state,) = progress(store)
    assert (state.planned, state.ok, state.failed, state.missing) == (44, 42, 0, 2)
    assert state.imported_from == "experiment-runner"
    whole = store_state(StoreLayout(tmp_path / "store"))
    assert whole.finished
    lines = list(state_lines(whole))
    assert lines[3].split() == ["published", "server", "44", "42", "0", "2", "95", "%"]
    assert lines[4] == "published was imported from experiment-runner; 2 of its 44 runs were never done there."


def test_the_study_names_its_models_and_tasks(tmp_path: Path, package: list[FakeRun]) -> None:
    """The record also holds the mapping as it was given."""
    import_data(tmp_path)
    (study,) = rows(tmp_path / "store", "select study, models, tasks, regime, seed, repetitions from studies")
    assert study == {
        "study": "published",
        "models": ["bert", "distilbert", "distilgpt2", "gpt2"],
        "tasks": ["glue"],
        "regime": None,
        "seed": None,
        "repetitions": None,
    }
    (file,) = (tmp_path / "store" / "studies").iterdir()
    record = json.loads(file.read_text())
    assert record["imported"]["from"] == "experiment-runner"
    assert record["imported"]["planned"] == 44
    assert record["imported"]["mapping"]["task"] == {"value": "glue"}
    pairs = rows(tmp_path / "store", "select pair, teacher, student from pairs order by pair")
    assert pairs == [
        {"pair": "bert", "teacher": "bert", "student": "distilbert"},
        {"pair": "gpt2", "teacher": "gpt2", "student": "distilgpt2"},
    ]


@pytest.mark.usefixtures("environment")
def test_a_study_that_was_imported_is_not_run(tmp_path: Path, package: list[FakeRun]) -> None:
    """Its trials have no blocks that could be continued."""
    import_data(tmp_path)
    (tmp_path / "tiny.yaml").write_text(re.sub(r"(?m)^name: .*$", "name: published", TINY_STUDY))
    arguments = (str(tmp_path / "tiny.yaml"), "--store", str(tmp_path / "store"))
    precise = ("run", *arguments, "--local", "--until-precision", "3")
    for verb in (("run", *arguments, "--local"), precise, ("plan", *arguments)):
        with pytest.raises(StoreError, match="was imported from experiment-runner: its trials have no blocks"):
            command(*verb)


def test_an_import_cannot_take_the_name_of_a_measured_study(tmp_path: Path, package: list[FakeRun]) -> None:
    """The name is taken by a record, or by trials whose record is lost."""
    study = study_from()
    write_store(tmp_path / "store", twelve_cell_rows(study)[:1], study)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"measured by Joulefleet, not imported.*--study NAME"):
            import_data(tmp_path, "--study", study.name)
        for file in (tmp_path / "store" / "studies").iterdir():
            file.unlink()
    assert len(rows(tmp_path / "store", "from attempts")) == 1


def test_the_mapping_in_the_guide_works(tmp_path: Path, package: list[FakeRun]) -> None:
    """The example in docs/how-to-import.md imports the package that it describes."""
    text, _ = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "guide.yaml").write_text(text)
    assert import_data(tmp_path, mapping="guide.yaml").startswith("42 runs")
    (row,) = rows(
        tmp_path / "store",
        "select distinct items, environment, labels['layout'] layout from trials where model = 'bert'",
    )
    assert row == {"items": 872, "environment": "bare", "layout": "flat"}


def test_json_has_the_counts(tmp_path: Path, package: list[FakeRun]) -> None:
    """Programs read the counts there."""
    done = json.loads(import_data(tmp_path, "--json"))
    assert (done["study"], done["runs"], done["added"], done["planned"]) == ("published", 42, 42, 44)
    assert len(done["notes"]) == 2


def test_a_command_without_its_mapping_is_wrong_usage(tmp_path: Path) -> None:
    """The exit code is 2."""
    for arguments in (["import", "experiment-runner"], ["import", "codecarbon", str(tmp_path)]):
        assert typer.testing.CliRunner().invoke(app, arguments).exit_code == 2


@pytest.mark.parametrize("kind", ["experiment-runner", "codecarbon"])
def test_the_schema_of_a_mapping_is_printed(kind: str) -> None:
    """Editors use it."""
    assert "pairs" in json.loads(command("import", kind, "--schema"))["properties"]


def test_a_run_of_codecarbon_is_a_trial(tmp_path: Path) -> None:
    """The mapping is the one in the guide."""
    _, text = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "mapping.yaml").write_text(text)
    columns = "timestamp,project_name,run_id,duration,energy_consumed,codecarbon_version,cpu_model,cpu_count"
    cpu = "Fake(R) CPU @ 2.00GHz,8"
    lines = [
        f"2024-05-17T10:01:0{n},{name}-run,{n},2.5,0.001,2.8.4,{cpu}" for n, name in ((1, "bert"), (2, "distilbert"))
    ]
    (tmp_path / "emissions.csv").write_text("\n".join([columns, *lines]))
    store = ("--store", str(tmp_path / "store"))
    arguments = ("import", "codecarbon", str(tmp_path / "emissions.csv"), "--mapping", str(tmp_path / "mapping.yaml"))
    assert command(*arguments, *store).startswith("2 runs of 1 folders imported")
    assert command(*arguments, *store).startswith("Nothing to add")
    result = rows(
        tmp_path / "store", "select model, machine, energy_reported_j, reported_by from trials order by model"
    )
    by = "codecarbon 2.8.4, tracking_mode unknown: unknown whether measured or modelled"
    assert result == [
        {"model": model, "machine": "laptop", "energy_reported_j": 3600.0, "reported_by": by}
        for model in ("bert", "distilbert")
    ]
    (tmp_path / "other.yaml").write_text(MAPPING)
    write_package(tmp_path / "data")
    with pytest.raises(StoreError, match="was imported from codecarbon"):
        import_data(tmp_path, "--study", "laptop", mapping="other.yaml")
