"""The commands sql, compare and status as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from coordinator.cli.compare import compare
from coordinator.cli.render.query_result import TABLE_ROWS
from coordinator.cli.sql import sql
from coordinator.cli.status import status
from joulefleet.errors import QueryError, StoreError
from joulefleet.query.views import VIEWS
from tests.support.attempt_rows import study_from, twelve_cell_rows, write_store

app = typer.Typer()
for command in (sql, compare, status):
    app.command()(command)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A finished study of 36 trials, which the tests only read."""
    study = study_from()
    return str(write_store(tmp_path_factory.mktemp("twelve") / "store", twelve_cell_rows(study), study))


def output_of(*arguments: str, typed: str | None = None) -> str:
    """Return the standard output of `joulefleet` with `arguments`. Raises what the command raises."""
    result = CliRunner().invoke(app, arguments, input=typed, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_sql_writes_csv(store: str) -> None:
    """The result is a header and a row."""
    query = "select count(*) n, count(distinct model) m from trials where status='ok'"
    assert output_of("sql", "--store", store, "--format", "csv", query) == "n,m\n36,4\n"


def test_sql_reads_the_query_from_standard_input(store: str) -> None:
    """This is so if no query is given."""
    assert output_of("sql", "--store", store, "--format", "json", typed="select 1 as a") == '[\n{"a": 1}\n]\n'


def test_sql_writes_a_file(store: str, tmp_path: Path) -> None:
    """This works in any format, and leaves standard output empty."""
    file = tmp_path / "out.parquet"
    assert output_of("sql", "--store", store, "--format", "parquet", "-o", str(file), "from trials") == ""
    assert pq.read_table(file).num_rows == 36
    table = tmp_path / "out.txt"
    assert output_of("sql", "--store", store, "-o", str(table), "select 1 as a") == ""
    assert table.read_text() == "a\n1\n"


@pytest.mark.parametrize("form", ["csv", "table"])
def test_failed_query_leaves_no_file(store: str, tmp_path: Path, form: str) -> None:
    """There is no temporary file either."""
    folder = tmp_path / "answers"
    folder.mkdir()
    with pytest.raises(QueryError):
        output_of("sql", "--store", store, "--format", form, "-o", str(folder / "x"), "select error('no')")
    assert list(folder.iterdir()) == []


def test_query_that_is_not_text_is_refused(store: str) -> None:
    """Bytes that are not UTF-8 are an error with a cure."""
    result = CliRunner().invoke(app, ["sql", "--store", store], input=b"\xff\xfe")
    assert isinstance(result.exception, QueryError)


def test_sql_describes_itself_without_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It describes all views and macros, or one, in any format."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JOULEFLEET_STORE", raising=False)
    text = output_of("sql", "--describe")
    assert all(f"\n{name}\n" in f"\n{text}" for name in VIEWS)
    assert "grams_co2e(joules, g_per_kwh)\n" in text
    assert "\x1b" not in text
    lines = output_of("sql", "--describe", "Latencies").splitlines()
    assert lines[0] == "latencies"
    assert lines[-1].split() == ["latency_s", "DOUBLE", "s", "Duration", "of", "the", "batch."]
    rows = json.loads(output_of("sql", "--describe", "latencies", "--format", "json"))
    assert [row["column"] for row in rows] == [None, "trial_id", "batch", "latency_s"]
    assert rows[-1] == {
        "name": "latencies",
        "kind": "view",
        "column": "latency_s",
        "type": "DOUBLE",
        "unit": "s",
        "meaning": "Duration of the batch.",
    }
    header, *_ = output_of("sql", "--describe", "--format", "csv").splitlines()
    assert header == "name,kind,column,type,unit,meaning"
    output_of("sql", "--describe", "-o", str(tmp_path / "views.txt"))
    assert (tmp_path / "views.txt").read_text() == text


def test_sql_lists_shows_and_runs_the_examples(store: str) -> None:
    """Each shipped query has a name."""
    assert "Which model needs the least energy per item in each task" in output_of("sql", "--examples")
    sql_of_it = output_of("sql", "--examples", "latency-percentiles")
    assert sql_of_it.startswith("-- How long does a batch take")
    assert json.loads(output_of("sql", "--examples", "latency-percentiles", "--format", "json"))[0]["sql"] == sql_of_it
    result = output_of("sql", "--store", store, "--example", "latency-percentiles", "--format", "csv")
    assert result == output_of("sql", "--store", store, "--format", "csv", typed=sql_of_it)
    assert len(result.splitlines()) == 1 + 12


@pytest.mark.parametrize(
    "arguments", [("--describe", "--examples"), ("--examples", "--example", "ranking"), ("--example", "ranking", "x")]
)
def test_sql_does_one_thing_at_a_time(arguments: tuple[str, ...]) -> None:
    """Contradicting options are wrong usage."""
    result = CliRunner().invoke(app, ["sql", *arguments])
    assert result.exit_code == 2


def test_sql_joins_files_of_the_users_own(store: str, tmp_path: Path) -> None:
    """Several files can be given, each under its own name."""
    (tmp_path / "grid.csv").write_text("machine,g_per_kwh\nbench,400\n")
    (tmp_path / "names.jsonl").write_text('{"model": "bert", "known_as": "BERT"}\n')
    query = "select distinct known_as, g_per_kwh from trials join grid using (machine) join names using (model)"
    own = ["--with", f"grid={tmp_path}/grid.csv", "--with", f"names={tmp_path}/names.jsonl"]
    assert json.loads(output_of("sql", "--store", store, "--format", "json", *own, query)) == [
        {"known_as": "BERT", "g_per_kwh": 400}
    ]
    with pytest.raises(QueryError, match="2 mistakes"):
        output_of("sql", "--store", store, "--with", "grid", "--with", "x=/none.csv", query)


def test_a_table_of_a_million_rows_is_cut(store: str) -> None:
    """The note states the number of all rows."""
    result = CliRunner().invoke(app, ["sql", "--store", store, "select range as i from range(1000000)"])
    assert len(result.stdout.splitlines()) == 1 + TABLE_ROWS
    assert result.stderr.startswith(f"{TABLE_ROWS} of 1000000 rows shown.")


def test_names_with_control_characters_are_escaped(store: str) -> None:
    """Names of columns and values may contain escapes."""
    text = output_of("sql", "--store", store, 'select \'\x1b[2J\na "q"\' as "\x1b]0;x\x07 \n\'"')
    assert "\x1b" not in text
    assert "\x07" not in text
    assert text.splitlines() == ["\\x1b]0;x\\x07 \\n'", '\\x1b[2J\\na "q"']


def test_the_help_loads_nothing_heavy() -> None:
    """It must appear without delay."""
    heavy = ("prompt_toolkit", "duckdb", "pyarrow", "rich.table", "pydantic", "ray", "torch")
    code = f"import sys, coordinator.__main__; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_compare_prints_plain_text(store: str) -> None:
    """In a pipe it has no escapes."""
    text = output_of("compare", "--store", store)
    assert "\x1b" not in text
    assert text.count(" time per item  ") == 12


def test_compare_by_one_metric_and_pair(store: str) -> None:
    """The result is JSON."""
    text = output_of("compare", "--store", store, "--pair", "bert", "--metric", "time", "--json")
    data = json.loads(text)
    assert [one["setting"]["task"] for one in data["per_machine"]] == ["sst2", "stsb", "mnli"]
    assert {one["metric"] for one in data["per_machine"]} == {"time"}
    assert all(0.45 < one["ratio"]["ratio"] < 0.6 for one in data["per_machine"])
    assert data["per_machine"][0]["ratio"]["p_reason"] == "3 blocks: a p-value needs 5"


def test_status_as_text_and_as_json(store: str) -> None:
    """All trials of the study are there."""
    assert "36  36       0        0  100 %" in output_of("status", "--store", store)
    data = json.loads(output_of("status", "--store", store, "--json"))
    assert (data["finished"], data["coordinator"], data["studies"][0]["ok"]) == (True, None, 36)


def test_watching_a_finished_study_ends(store: str) -> None:
    """There is nothing left to wait for."""
    assert "100 %" in output_of("status", "--store", store, "--watch")


@pytest.mark.parametrize("name", ["sql", "compare", "status"])
def test_no_store_is_one_line_with_a_cure(name: str, tmp_path: Path) -> None:
    """This holds for every command that reads."""
    arguments = [name, "--store", str(tmp_path / "nothing"), *(["select 1"] if name == "sql" else [])]
    with pytest.raises(StoreError, match="there is no store"):
        output_of(*arguments)


@pytest.mark.parametrize("name", ["sql", "compare", "status"])
def test_examples_keep_their_lines_in_the_help(name: str) -> None:
    """They are meant to be copied."""
    text = CliRunner().invoke(app, [name, "--help"]).stdout
    assert f"joulefleet {name}" in text
