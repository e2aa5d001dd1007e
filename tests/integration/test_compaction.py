"""Compaction by processes that are killed, while others read, and by the command line."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest
import typer
from typer.testing import CliRunner

from coordinator.cli.compact import compact as compact_command
from coordinator.cli.sql import sql
from coordinator.store.writer import open_store
from joulefleet.errors import StoreError
from joulefleet.query import Store
from joulefleet.store.compaction import compact
from joulefleet.store.layout import StoreLayout
from tests.support.attempt_rows import attempt_row, write_attempt, write_store
from tests.support.compaction_crashes import attempts_of, files_of

KILLED_AT = """
import os, signal, sys
from pathlib import Path
from joulefleet.store.compaction import compact
from joulefleet.store.layout import StoreLayout

def killed_at(step):
    if step.what == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

compact(StoreLayout(Path(sys.argv[1])), on_step=killed_at)
"""

app = typer.Typer()
for command in (compact_command, sql):
    app.command()(command)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Make a store of forty attempts."""
    return write_store(tmp_path / "s", [attempt_row(trial_id=f"{number:02}", block=number) for number in range(40)])


@pytest.mark.parametrize("step", ["compacting", "written", "checked", "recorded", "removing"])
def test_a_compaction_that_is_killed_leaves_each_attempt_once(store: Path, step: str) -> None:
    """A killed process cleans nothing up; the next compaction does."""
    before = attempts_of(store)
    done = subprocess.run([sys.executable, "-c", KILLED_AT, str(store), step], check=False)
    assert done.returncode == -signal.SIGKILL
    assert attempts_of(store) == before
    compact(StoreLayout(store))
    assert attempts_of(store) == before
    left = [name for name in files_of(store) if name.endswith(".tmp") or name.startswith("attempts/")]
    assert left == []


def test_compactions_killed_at_any_moment_lose_nothing(store: Path) -> None:
    """The moments are random, with a fixed seed."""
    before = attempts_of(store)
    rng = random.Random(1)
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", KILLED_AT, str(store), "never"])
        time.sleep(rng.uniform(0.3, 1.5))
        process.kill()
        process.wait()
        assert attempts_of(store) == before
        write_attempt(store, row := attempt_row(trial_id=f"later{len(before)}"))
        before = sorted([*before, *attempts_of(store)[-1:]], key=lambda attempt: str(attempt["attempt_id"]))
        assert before[-1]["attempt_id"] == row["attempt_id"]
    compact(StoreLayout(store))
    assert attempts_of(store) == before


def test_a_reader_never_sees_other_numbers_while_a_store_is_compacted_and_merged(store: Path) -> None:
    """The sum stays the same, as a table and in batches."""
    total = sum(range(40))
    with Store.open(store) as opened, ThreadPoolExecutor(1) as pool:
        for number in range(10):
            write_attempt(store, attempt_row(trial_id=f"more{number}", block=0))
            compacting = pool.submit(compact, StoreLayout(store))
            asked = 0
            while asked == 0 or not compacting.done():
                query = "select count(*) n, sum(block) s from attempts"
                assert opened.arrow(query).to_pylist() == [{"n": 41 + number, "s": total}]
                rows = [row for batch in opened.batches("from attempts")[1] for row in batch.to_pylist()]
                assert (len(rows), sum(row["block"] for row in rows)) == (41 + number, total)
                asked += 1
            compacting.result()


def test_a_relation_of_a_compacted_store_ends_in_an_error_never_in_other_rows(store: Path) -> None:
    """A relation reads its files when it is fetched; a new query succeeds."""
    with Store.open(store) as opened:
        relation = opened.sql("select count(*), count(model) from attempts")
        compact(StoreLayout(store))
        with pytest.raises(duckdb.Error):
            relation.fetchall()
        assert opened.sql("select count(*), count(model) from attempts").fetchall() == [(40, 40)]


def test_batches_that_lose_their_files_say_so(tmp_path: Path) -> None:
    """Rows that were returned cannot be taken back, so the query does not run again."""
    store = write_store(
        tmp_path / "s", [attempt_row(trial_id=f"{number:03}", message="x" * 99) for number in range(60)]
    )
    with Store.open(store) as opened:
        query = "select a.message || b.message || c.attempt_id from attempts a, attempts b, attempts c"
        _, batches = opened.batches(query)
        next(batches)
        compact(StoreLayout(store))
        try:
            rest = sum(batch.num_rows for batch in batches)
        except StoreError as error:
            assert "compacted while it was read. Run the same query again." in str(error)  # noqa: PT017 - either is right, as it reads ahead
        else:
            assert rest > 60**3 - 20_000


def test_one_trial_is_found_among_compacted_ones(store: Path) -> None:
    """Its readings are found too."""
    compact(StoreLayout(store))
    with Store.open(store) as opened:
        assert opened.arrow("select t_ns from readings where trial_id = '07'").num_rows == 3


def test_compact_says_what_it_did(store: Path) -> None:
    """The second time it says that there is nothing to do."""
    first = CliRunner().invoke(app, ["compact", "--store", str(store)], catch_exceptions=False)
    assert first.stdout == f"40 attempts compacted: 1 new files in {store / 'compacted'}\n"
    again = CliRunner().invoke(app, ["compact", "--store", str(store)], catch_exceptions=False)
    assert again.stdout == "Nothing to compact.\n"
    as_json = CliRunner().invoke(app, ["compact", "--store", str(store), "--json"], catch_exceptions=False)
    assert json.loads(as_json.stdout) == {"attempts": 0, "files": 0, "merged": 0}


def test_compact_makes_no_store(tmp_path: Path) -> None:
    """A misspelt name must not become a folder."""
    with pytest.raises(StoreError, match="there is no store"):
        CliRunner().invoke(app, ["compact", "--store", str(tmp_path / "none")], catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []


def test_compact_waits_for_nobody(store: Path) -> None:
    """A coordinator that writes to the store compacts it itself."""
    with open_store(store, study="x"), pytest.raises(StoreError, match="writes to this store"):
        CliRunner().invoke(app, ["compact", "--store", str(store)], catch_exceptions=False)
