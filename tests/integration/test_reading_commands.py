"""The commands sql, compare and status as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from coordinator.commands.compare import compare
from coordinator.commands.sql import sql
from coordinator.commands.status import status
from joulefleet.errors import QueryError, StoreError
from tests.fakes.attempt_rows import study_from, twelve_cell_rows, write_store

app = typer.Typer()
for command in (sql, compare, status):
    app.command()(command)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A finished study of 36 trials, which the tests only read."""
    study = study_from()
    return str(write_store(tmp_path_factory.mktemp("twelve") / "store", twelve_cell_rows(study), study))


def said(*arguments: str, typed: str | None = None) -> str:
    """The standard output of `joulefleet` with `arguments`. Raises what the command raises."""
    result = CliRunner().invoke(app, arguments, input=typed, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_sql_writes_csv(store: str) -> None:
    """A header and a row."""
    query = "select count(*) n, count(distinct model) m from trials where status='ok'"
    assert said("sql", "--store", store, "--format", "csv", query) == "n,m\n36,4\n"


def test_sql_reads_the_query_from_standard_input(store: str) -> None:
    """Where none is given."""
    assert said("sql", "--store", store, "--format", "json", typed="select 1 as a") == '[\n{"a": 1}\n]\n'


def test_sql_writes_a_file(store: str, tmp_path: Path) -> None:
    """In any format, and nothing to standard output."""
    file = tmp_path / "out.parquet"
    assert said("sql", "--store", store, "--format", "parquet", "-o", str(file), "from trials") == ""
    assert pq.read_table(file).num_rows == 36
    table = tmp_path / "out.txt"
    assert said("sql", "--store", store, "-o", str(table), "select 1 as a") == ""
    assert table.read_text() == "a\n1\n"


@pytest.mark.parametrize("form", ["csv", "table"])
def test_failed_query_leaves_no_file(store: str, tmp_path: Path, form: str) -> None:
    """Neither under the name nor beside it."""
    folder = tmp_path / "answers"
    folder.mkdir()
    with pytest.raises(QueryError):
        said("sql", "--store", store, "--format", form, "-o", str(folder / "x"), "select error('no')")
    assert list(folder.iterdir()) == []


def test_query_that_is_not_text_is_refused(store: str) -> None:
    """With a cure."""
    result = CliRunner().invoke(app, ["sql", "--store", store], input=b"\xff\xfe")
    assert isinstance(result.exception, QueryError)


def test_compare_prints_plain_text(store: str) -> None:
    """Without any escape when piped."""
    text = said("compare", "--store", store)
    assert "\x1b" not in text
    assert text.count(" time an item  ") == 12


def test_compare_by_one_metric_and_pair(store: str) -> None:
    """As JSON."""
    text = said("compare", "--store", store, "--pair", "bert", "--metric", "time", "--json")
    data = json.loads(text)
    assert [line["setting"]["task"] for line in data["lines"]] == ["sst2", "stsb", "mnli"]
    assert {line["metric"] for line in data["lines"]} == {"time"}
    assert all(0.45 < line["ratio"]["ratio"] < 0.6 for line in data["lines"])
    assert data["lines"][0]["ratio"]["p_reason"] == "3 blocks: a p-value needs 5"


def test_status_as_text_and_as_json(store: str) -> None:
    """All trials are there."""
    assert "36  36       0        0  100 %" in said("status", "--store", store)
    data = json.loads(said("status", "--store", store, "--json"))
    assert (data["finished"], data["coordinator"], data["studies"][0]["ok"]) == (True, None, 36)


def test_watching_a_finished_study_ends(store: str) -> None:
    """There is nothing left to wait for."""
    assert "100 %" in said("status", "--store", store, "--watch")


@pytest.mark.parametrize("name", ["sql", "compare", "status"])
def test_no_store_is_one_line_with_a_cure(name: str, tmp_path: Path) -> None:
    """Whatever is asked."""
    arguments = [name, "--store", str(tmp_path / "nothing"), *(["select 1"] if name == "sql" else [])]
    with pytest.raises(StoreError, match="there is no store"):
        said(*arguments)


@pytest.mark.parametrize("name", ["sql", "compare", "status"])
def test_examples_keep_their_lines_in_the_help(name: str) -> None:
    """One a line, to be copied."""
    text = CliRunner().invoke(app, [name, "--help"]).stdout
    assert f"joulefleet {name}" in text
