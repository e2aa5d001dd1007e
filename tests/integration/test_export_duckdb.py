"""Export of a store to one DuckDB file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from coordinator.__main__ import app
from joulefleet.errors import QueryError, StoreError
from joulefleet.export.duckdb import Exported, export_duckdb
from joulefleet.query import Store
from joulefleet.query.catalog import catalogue
from joulefleet.query.views import VIEWS
from joulefleet.store.compaction import Step
from tests.support.attempt_rows import attempt_row, study_from, twelve_cell_rows, write_attempt, write_store
from tests.support.full_disk import no_file_longer_than

ALONE = """
import json, sys
import duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
def ask(query): return connection.execute(query).fetchall()
print(json.dumps({
    "tables": sorted(name for (name,) in ask("show tables")),
    "ours": [name for name in sys.modules if name.startswith(("joulefleet", "coordinator"))],
    "pairs": ask("select count(*) from paired_log_ratios('twelve') where metric = 'time'"),
    "front": ask("select distinct model from pareto_front()"),
    "co2": ask("select grams_co2e(3.6e6, 400)"),
    "comment": ask("select comment from duckdb_columns() where table_name = 'trials' and column_name = 'window_s'"),
    "table": ask("select comment from duckdb_tables() where table_name = 'machines'"),
    "macro": ask("select comment from duckdb_functions() where function_name = 'pareto_front'"),
}))
"""


@pytest.fixture(scope="module")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the store of a finished study of 36 trials, which the tests only read."""
    study = study_from()
    rows = twelve_cell_rows(study)
    return write_store(tmp_path_factory.mktemp("twelve") / "store", rows, study)


def exported(store: Path, file: Path, *, force: bool = False) -> Exported:
    """Export `store` to `file`."""
    with Store.open(store) as opened:
        return export_duckdb(opened, file, force=force, on_step=lambda step: None)


def test_any_client_opens_the_file_alone(twelve: Path, tmp_path: Path) -> None:
    """Another process without our packages reads tables, macros, units and meanings."""
    file = tmp_path / 'it\'s "odd" [x].duckdb'
    done = CliRunner().invoke(app, ["export", "duckdb", str(file), "--store", str(twelve)], catch_exceptions=False)
    assert (done.exit_code, done.stdout) == (0, f"36 trials in {file} ({file.stat().st_size / 1e6:.1f} MB)\n")
    command = [sys.executable, "-I", "-c", ALONE, str(file)]
    said = json.loads(subprocess.run(command, cwd="/", check=True, capture_output=True, text=True).stdout)
    assert said["tables"] == sorted(VIEWS)
    assert said["ours"] == []
    assert said["pairs"] == [[18]]
    assert sorted(said["front"]) == [["distilbert"]]
    assert said["co2"] == [[400.0]]
    assert said["comment"] == [["s: Duration of the measured window."]]
    assert said["table"] == [["Each machine, described by its newest attempt."]]
    assert said["macro"][0][0].startswith("The models that no other model beats")
    assert list(tmp_path.iterdir()) == [file]


def test_every_row_and_type_is_that_of_the_store(twelve: Path, tmp_path: Path) -> None:
    """Nested types are the same too."""
    file = tmp_path / "x.duckdb"
    done = exported(twelve, file)
    types = {entry.name: [(column.name, column.type) for column in entry.columns] for entry in catalogue()}
    with duckdb.connect(str(file), read_only=True) as connection, Store.open(twelve) as store:
        for view in VIEWS:
            described = connection.execute(f"describe {view}").fetchall()
            assert [(name, kind) for name, kind, *_ in described] == types[view]
            query = f"from {view} order by all"
            if view == "attempts":
                query = "from attempts order by attempt_id"
            ours = store.arrow(query)
            theirs = connection.sql(query).to_arrow_table()
            assert theirs.to_pylist() == ours.to_pylist()
            assert done.rows[view] == ours.num_rows
    assert done.rows["readings"] == 3 * 36


def test_the_file_can_be_opened_by_old_releases(twelve: Path, tmp_path: Path) -> None:
    """It has the format of DuckDB 1.0."""
    exported(twelve, tmp_path / "x.duckdb")
    with duckdb.connect(str(tmp_path / "x.duckdb"), read_only=True) as connection:
        query = "select tags['storage_version'] from duckdb_databases() where database_name = 'x'"
        assert connection.execute(query).fetchall() == [("v1.0.0+",)]


def test_a_file_that_is_there_stays_without_force(twelve: Path, tmp_path: Path) -> None:
    """With --force it is replaced."""
    file = tmp_path / "x.duckdb"
    file.write_text("mine")
    with pytest.raises(QueryError, match="exists already"):
        exported(twelve, file)
    assert file.read_text() == "mine"
    exported(twelve, file, force=True)
    assert file.read_bytes()[8:12] == b"DUCK"
    with pytest.raises(QueryError, match="not a regular file"):
        exported(twelve, tmp_path, force=True)


def test_a_missing_folder_and_a_full_disk_are_reported(twelve: Path, tmp_path: Path) -> None:
    """The error has one line with a cure, and no file is left."""
    with pytest.raises(QueryError, match="cannot be written"):
        exported(twelve, tmp_path / "missing" / "x.duckdb")
    whole = exported(twelve, tmp_path / "whole.duckdb").size_bytes
    (tmp_path / "whole.duckdb").unlink()
    for size in (20_000, whole // 2, whole - 20_000):
        with pytest.raises(QueryError, match="free space"), no_file_longer_than(size):
            exported(twelve, tmp_path / "x.duckdb")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_nothing(twelve: Path, tmp_path: Path) -> None:
    """No part of the new file is left, and the old file stays."""
    file = tmp_path / "x.duckdb"
    file.write_text("before")

    def pressed(step: Step) -> None:
        if step.what.startswith("readings"):
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Store.open(twelve) as store, pytest.raises(KeyboardInterrupt):
            export_duckdb(store, file, force=True, on_step=pressed)
    finally:
        signal.signal(signal.SIGINT, before)
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_a_copy_is_of_one_moment(tmp_path: Path) -> None:
    """A trial that arrives during an export is in none of its tables, and in all tables of the next export."""
    path = write_store(tmp_path / "s", [attempt_row(trial_id="a")])

    def arrives(step: Step) -> None:
        write_attempt(path, attempt_row(trial_id="b"))

    with Store.open(path) as store:
        done = export_duckdb(store, tmp_path / "x.duckdb", on_step=arrives)
        again = export_duckdb(store, tmp_path / "y.duckdb", on_step=lambda step: None)
    assert (done.rows["trials"], done.rows["attempts"], done.rows["latencies"]) == (1, 1, 2)
    assert (again.rows["trials"], again.rows["attempts"], again.rows["latencies"]) == (2, 2, 4)


def test_attempts_that_are_compacted_meanwhile_begin_it_again(tmp_path: Path) -> None:
    """The copy then has each attempt once."""
    path = write_store(tmp_path / "s", [attempt_row(trial_id="a"), attempt_row(trial_id="b")])
    gone = path / "attempts" / "b-r1-a1.parquet"

    def compacted(step: Step) -> None:
        if gone.exists():
            gone.unlink()

    with Store.open(path) as store:
        done = export_duckdb(store, tmp_path / "x.duckdb", on_step=compacted)
    assert done.rows["trials"] == 1


def test_a_damaged_store_is_the_stores_own_error(tmp_path: Path) -> None:
    """No file is made."""
    path = write_store(tmp_path / "s", [attempt_row()])
    (path / "attempts" / "torn.parquet").write_bytes(b"PAR1")
    with pytest.raises(StoreError, match="torn"):
        exported(path, tmp_path / "x.duckdb")
    assert not (tmp_path / "x.duckdb").exists()


def test_what_was_written_as_json(twelve: Path, tmp_path: Path) -> None:
    """Programs read the numbers of rows and bytes."""
    arguments = ["export", "duckdb", str(tmp_path / "x.duckdb"), "--store", str(twelve), "--json"]
    said = json.loads(CliRunner().invoke(app, arguments, catch_exceptions=False).stdout)
    assert said["rows"]["trials"] == 36
    assert said["size_bytes"] > 0
