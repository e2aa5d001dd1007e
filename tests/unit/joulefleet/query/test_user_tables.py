"""The user's own files as tables."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import joulefleet
from joulefleet.errors import QueryError
from joulefleet.query import Store
from joulefleet.query.user_tables import parse_user_tables
from tests.support.attempt_rows import attempt_row, write_store

ODD = 'it\'s "odd" [*]?{a,b}\nyear=2024'


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Make a store of one trial, on the machine `bench`."""
    return write_store(tmp_path / "s", [attempt_row()])


def test_a_file_of_each_kind_becomes_a_table(store: Path, tmp_path: Path) -> None:
    """The path may contain quotes, patterns, a newline, and what looks like a partition."""
    folder = tmp_path / ODD
    folder.mkdir()
    (folder / "a.csv").write_text("machine,price\nbench,0.3\n")
    (folder / "a.tsv").write_text("machine\tprice\nbench\t0.3\n")
    with gzip.open(folder / "packed.csv.gz", "wt") as file:
        file.write("machine,price\nbench,0.3\n")
    (folder / "a.json").write_text('[{"machine": "bench", "price": 0.3}]')
    (folder / "a.jsonl").write_text('{"machine": "bench", "price": 0.3}\n')
    pq.write_table(pa.table({"machine": ["bench"], "price": [0.3]}), folder / "A.PARQUET")
    files = {f"t{number}": path for number, path in enumerate(sorted(folder.iterdir()))}
    with Store.open(store, tables=files) as opened:
        for name in files:
            assert opened.arrow(f"from {name}").to_pylist() == [{"machine": "bench", "price": 0.3}]
        joined = opened.arrow("select model, price from trials join t0 using (machine)")
        assert joined.to_pylist() == [{"model": "bert", "price": 0.3}]
        assert opened.tables == tuple(files)


def test_only_the_named_file_is_read(store: Path, tmp_path: Path) -> None:
    """A name is not used as a pattern."""
    (tmp_path / "[ab].csv").write_text("x\n1\n")
    (tmp_path / "a.csv").write_text("x\n2\n")
    with joulefleet.open(store, tables={"mine": tmp_path / "[ab].csv"}) as opened:
        assert opened.arrow("from mine").to_pylist() == [{"x": 1}]


def test_a_table_is_a_copy_and_queries_stay_restricted(store: Path, tmp_path: Path) -> None:
    """The file may be removed, and no query reads a file."""
    file = tmp_path / "mine.csv"
    file.write_text("x\n1\n")
    with Store.open(store, tables={"mine": file}) as opened:
        for query in (f"from '{file}'", f"from read_csv('{file}')", "from '/etc/passwd'"):
            with pytest.raises(QueryError):
                opened.arrow(query)
        file.unlink()
        assert opened.arrow("from mine").num_rows == 1


def test_a_file_may_be_named_relative_to_here(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell completes relative paths."""
    (tmp_path / "mine.csv").write_text("x\n1\n")
    monkeypatch.chdir(tmp_path)
    assert parse_user_tables(["mine=mine.csv"]) == {"mine": Path("mine.csv")}
    with Store.open(store, tables={"mine": "mine.csv"}) as opened:
        assert opened.arrow("from mine").num_rows == 1


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    """All mistakes share one cure."""
    (tmp_path / "x.xls").write_text("")
    (tmp_path / "x.csv").write_text("a\n1\n")
    os.mkfifo(tmp_path / "pipe.csv")
    good = tmp_path / "x.csv"
    texts = [
        "nothing",
        "=x.csv",
        f"1st={good}",
        f'a"b={good}',
        f"Trials={good}",
        f"pareto_front={good}",
        f"select={good}",
        f"left={good}",
        f"same={good}",
        f"SAME={good}",
        f"gone={tmp_path}/none.csv",
        f"folder={tmp_path}",
        f"pipe={tmp_path}/pipe.csv",
        f"kind={tmp_path}/x.xls",
    ]
    with pytest.raises(QueryError, match="13 mistakes:") as caught:
        parse_user_tables(texts)
    message = "\n".join(caught.value.problems)
    for what in (
        "'nothing' is not NAME=FILE",
        "'=x.csv' is not NAME=FILE",
        "'1st' is no plain name",
        "'a\"b' is no plain name",
        "'Trials' is the name of a view",
        "'pareto_front' is the name of a view or macro",
        "'select' is a keyword of SQL",
        "'left' is a keyword of SQL",
        "'SAME' is named twice",
        "none.csv': No such file",
        f"'{tmp_path}': not a regular file",
        "pipe.csv': not a regular file",
        "x.xls': unknown ending; .csv,",
    ):
        assert what in message
    assert "CSV, Parquet or JSON" in caught.value.cure


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bad.parquet", b"PAR1 torn"),
        ("empty.parquet", b""),
        ("bad.json", b"{nope"),
        ("latin.csv", "name,n\nJosé,2\n".encode("latin-1")),
    ],
)
def test_a_file_that_cannot_be_read_is_named(store: Path, tmp_path: Path, name: str, content: bytes) -> None:
    """The error has one line for each file."""
    (tmp_path / name).write_bytes(content)
    (tmp_path / "other.json").write_text("[")
    with pytest.raises(QueryError, match="2 mistakes") as caught:
        Store.open(store, tables={"mine": tmp_path / name, "other": tmp_path / "other.json"})
    assert name in caught.value.problems[0]
    assert all("\n" not in problem for problem in caught.value.problems)
