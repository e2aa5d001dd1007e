"""Opening, closing and interrupting a store."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from joulefleet.errors import StoreError
from joulefleet.query import Store
from joulefleet.schema import attempt_table
from joulefleet.versions import LAYOUT_VERSION, SCHEMA_VERSION
from tests.support.attempt_rows import attempt_row, write_store

ENDLESS = "select count(*) from range(10000000000) a, range(10000000000) b"


@pytest.fixture
def keyboard() -> Iterator[None]:
    """Handle Ctrl-C as in a terminal, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_interrupts_an_endless_query(tmp_path: Path, keyboard: None) -> None:
    """The store answers the next query."""
    with Store.open(write_store(tmp_path / "s", [attempt_row()])) as store:

        def pressed_while_it_computes() -> object:
            os.kill(os.getpid(), signal.SIGINT)
            return store.sql(ENDLESS).to_arrow_table()

        with pytest.raises(KeyboardInterrupt):
            store._interruptible(pressed_while_it_computes)
        assert store.arrow("select count(*) n from trials").to_pylist() == [{"n": 1}]


def test_answer_comes_in_batches(tmp_path: Path) -> None:
    """A large result is never held in memory as a whole."""
    with Store.open(write_store(tmp_path / "s", [])) as store:
        schema, batches = store.batches("select range as i from range(100000)")
        sizes = [batch.num_rows for batch in batches]
    assert schema.names == ["i"]
    assert sum(sizes) == 100_000
    assert len(sizes) > 5


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    """A user may close a store inside its `with` block."""
    store = Store.open(write_store(tmp_path / "s", []))
    store.close()
    store.close()


def test_store_may_be_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later change of the working folder changes nothing."""
    write_store(tmp_path / "s", [attempt_row()])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JOULEFLEET_STORE", "s")
    with Store.open() as store:
        monkeypatch.chdir("/")
        assert store.arrow("from trials").num_rows == 1
        assert store.store_id == "fake"


def test_no_store_is_refused(tmp_path: Path) -> None:
    """Neither a path that does not exist nor another folder is a store."""
    with pytest.raises(StoreError, match="there is no store"):
        Store.open(tmp_path / "nothing")
    with pytest.raises(StoreError, match="no store"):
        Store.open(tmp_path)


def test_store_of_a_newer_layout_is_refused(tmp_path: Path) -> None:
    """The cure is to install a newer Joulefleet."""
    path = write_store(tmp_path / "s", [])
    (path / "format.json").write_text(json.dumps({"layout": LAYOUT_VERSION + 1, "store_id": "x"}), encoding="utf-8")
    with pytest.raises(StoreError, match="newer Joulefleet"):
        Store.open(path)


def test_reading_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither the store nor the folder around it has a new file."""
    path = write_store(tmp_path / "s", [attempt_row()])
    before = sorted(tmp_path.rglob("*"))
    with Store.open(path) as store:
        store.arrow("from trials")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("version", "message"), [(3, "an older Joulefleet .*version 3"), (99, "a newer Joulefleet")])
@pytest.mark.parametrize("name", ["000", "zzz"])
def test_rows_of_another_version_are_an_error_that_names_the_file(
    tmp_path: Path, version: int, message: str, name: str
) -> None:
    """The file may be read first or last, and may have the same columns."""
    path = write_store(tmp_path / "s", [attempt_row(trial_id="m")])
    file = path / "attempts" / f"{name}.parquet"
    row = attempt_table(attempt_row(attempt_id=name, schema_version=version))
    for table in (row, row.drop_columns(["flags"])):
        pq.write_table(table, file)
        for query in ("select count(*) from trials", "select window_s from trials"):
            with pytest.raises(StoreError, match=f"{file}: written by {message}"), Store.open(path) as store:
                store.arrow(query)


def test_a_store_of_another_version_is_refused_at_once(tmp_path: Path) -> None:
    """The version is in format.json, so no other file has to be read."""
    path = write_store(tmp_path / "s", [attempt_row()])
    for version, message in ((SCHEMA_VERSION - 1, "run the study again"), (SCHEMA_VERSION + 1, "Install a newer")):
        (path / "format.json").write_text(json.dumps({"layout": LAYOUT_VERSION, "schema": version, "store_id": "x"}))
        with pytest.raises(StoreError, match=message):
            Store.open(path)
