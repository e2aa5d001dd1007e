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
from joulefleet.schema import ADDED_LATER, ATTEMPT_SCHEMA, attempt_table
from tests.support.attempt_rows import attempt_row, write_store

ENDLESS = "select count(*) from range(10000000000) a, range(10000000000) b"


@pytest.fixture
def keyboard() -> Iterator[None]:
    """Ctrl-C as in a terminal, also where the tests themselves run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_interrupts_an_endless_query(tmp_path: Path, keyboard: None) -> None:
    """And the store answers the next one."""
    with Store.open(write_store(tmp_path / "s", [attempt_row()])) as store:

        def pressed_while_it_computes() -> object:
            os.kill(os.getpid(), signal.SIGINT)
            return store.sql(ENDLESS).to_arrow_table()

        with pytest.raises(KeyboardInterrupt):
            store._interruptible(pressed_while_it_computes)
        assert store.arrow("select count(*) n from trials").to_pylist() == [{"n": 1}]


def test_answer_comes_in_batches(tmp_path: Path) -> None:
    """A large answer is never held whole."""
    with Store.open(write_store(tmp_path / "s", [])) as store:
        schema, batches = store.batches("select range as i from range(100000)")
        sizes = [batch.num_rows for batch in batches]
    assert schema.names == ["i"]
    assert sum(sizes) == 100_000
    assert len(sizes) > 5


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    """As a context manager does after a close of the user's own."""
    store = Store.open(write_store(tmp_path / "s", []))
    store.close()
    store.close()


def test_store_may_be_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a change of folder while it is open changes nothing."""
    write_store(tmp_path / "s", [attempt_row()])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JOULEFLEET_STORE", "s")
    with Store.open() as store:
        monkeypatch.chdir("/")
        assert store.arrow("from trials").num_rows == 1
        assert store.store_id == "fake"


def test_no_store_is_refused(tmp_path: Path) -> None:
    """Nothing, and a folder that is none."""
    with pytest.raises(StoreError, match="there is no store"):
        Store.open(tmp_path / "nothing")
    with pytest.raises(StoreError, match="no store"):
        Store.open(tmp_path)


def test_store_of_a_newer_layout_is_refused(tmp_path: Path) -> None:
    """With the cure."""
    path = write_store(tmp_path / "s", [])
    (path / "format.json").write_text(json.dumps({"layout": 2, "store_id": "x"}), encoding="utf-8")
    with pytest.raises(StoreError, match="newer Joulefleet"):
        Store.open(path)


def test_reading_leaves_nothing_behind(tmp_path: Path) -> None:
    """No file in the store, and none in the folder it was opened from."""
    path = write_store(tmp_path / "s", [attempt_row()])
    before = sorted(tmp_path.rglob("*"))
    with Store.open(path) as store:
        store.arrow("from trials")
    assert sorted(tmp_path.rglob("*")) == before


def test_rows_of_the_first_version_are_read_beside_newer_ones(tmp_path: Path) -> None:
    """What they lack is null, and their joules are called as they called them."""
    path = write_store(tmp_path / "s", [attempt_row(trial_id="new", energy_provenance="simulated", energy_j=2.0)])
    old = attempt_row(trial_id="old", schema_version=1, energy_j=1.0)
    lacking = [name for name in ATTEMPT_SCHEMA.names if name not in ADDED_LATER]
    pq.write_table(attempt_table(old).select(lacking), path / "attempts" / f"{old['attempt_id']}.parquet")
    (path / "format.json").write_text(json.dumps({"layout": 1, "store_id": "fake"}), encoding="utf-8")
    with Store.open(path) as store:
        rows = store.arrow("select trial_id, energy_provenance, sysfs_root from trials order by 1").to_pylist()
    assert [tuple(row.values()) for row in rows] == [("new", "simulated", None), ("old", "measured", None)]
