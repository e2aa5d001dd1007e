"""Reading a store of real Parquet files."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import joulefleet
from joulefleet.errors import StoreError
from joulefleet.query import Store
from joulefleet.query.views import VIEWS
from joulefleet.schema import ATTEMPT_SCHEMA, COLUMNS
from joulefleet.versions import SCHEMA_VERSION
from tests.support.attempt_rows import (
    STARTED,
    attempt_row,
    failed_row,
    study_from,
    twelve_cell_rows,
    write_attempt,
    write_compacted,
    write_store,
    write_study,
)

RATIOS = """
with c as (
  select p.pair, t.task, t.model=p.student as s, avg(t.window_s/t.items) x
  from trials t join pairs p on t.study=p.study and t.model in (p.teacher,p.student)
  where status='ok' group by all)
select pair, task, max(x) filter (s) / max(x) filter (not s) r from c group by all
"""


@pytest.fixture(scope="module")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the store of a finished study of 36 trials, which the tests only read."""
    study = study_from()
    return write_store(tmp_path_factory.mktemp("twelve") / "store", twelve_cell_rows(study), study)


def rows_of(store: Path, query: str) -> list[dict[str, Any]]:
    """Return the result of `query`."""
    with Store.open(store) as opened:
        answer: list[dict[str, Any]] = opened.arrow(query).to_pylist()
        return answer


def test_ratio_of_window_times_has_a_row_for_each_pair_and_task(twelve: Path) -> None:
    """All six ratios are near one half."""
    rows = rows_of(twelve, RATIOS)
    assert len(rows) == 6
    cells = {(pair, task) for pair in ("bert", "gpt2") for task in ("sst2", "stsb", "mnli")}
    assert {(row["pair"], row["task"]) for row in rows} == cells
    assert all(0.45 < row["r"] < 0.6 for row in rows)


def test_every_trial_counts_once(twelve: Path) -> None:
    """There are 36 trials with 36 ids, of 3 tasks and 4 models."""
    query = "select count(*) n, count(distinct trial_id) ids, count(distinct task) t, count(distinct model) m"
    assert rows_of(twelve, f"{query} from trials where status='ok'") == [{"n": 36, "ids": 36, "t": 3, "m": 4}]


def test_opened_by_the_package(twelve: Path) -> None:
    """joulefleet.open returns a relation, an Arrow table or a data frame."""
    with joulefleet.open(twelve) as store:
        assert store.sql("select count(*) n from trials").fetchall() == [(36,)]
        assert store.pandas("select model from trials").shape == (36, 1)
        assert store.arrow("select model from trials where task = $task", {"task": "sst2"}).num_rows == 12


def test_store_without_attempts_gives_empty_typed_views(tmp_path: Path) -> None:
    """Every view exists with the types that it has with rows."""
    empty = write_store(tmp_path / "empty", [])
    full = write_store(tmp_path / "full", [attempt_row()], study_from())
    with Store.open(empty) as first, Store.open(full) as second:
        for view in VIEWS:
            nothing = first.arrow(f"from {view}")
            assert nothing.num_rows == 0
            assert nothing.schema == second.arrow(f"from {view}").schema


def test_attempts_are_the_schema(tmp_path: Path) -> None:
    """Every column of a row is read as it was written, in the same order."""
    row = attempt_row(labels={"room": "12"}, flags=["throttled"], cpus=[0, 1])
    store = write_store(tmp_path / "store", [row])
    with Store.open(store) as opened:
        table = opened.arrow("from attempts")
    assert table.column_names == ATTEMPT_SCHEMA.names
    read = table.to_pylist(maps_as_pydicts="strict")[0]
    assert read == row


def test_trials_have_every_scalar_column(tmp_path: Path) -> None:
    """Nested columns stay in attempts; flags and labels are in both."""
    store = write_store(tmp_path / "store", [])
    with Store.open(store) as opened:
        names = set(opened.arrow("from trials").column_names)
    nested = {c.name for c in COLUMNS if pa.types.is_nested(c.type)} - {"flags", "labels"}
    assert names >= {c.name for c in COLUMNS} - nested
    assert not names & nested


def test_accepted_attempt_is_newest_round_then_ok_then_lowest(tmp_path: Path) -> None:
    """The values that were measured play no part."""
    rows = [
        attempt_row(trial_id="a", round=1, attempt=1),
        failed_row(trial_id="a", round=2, attempt=1),
        attempt_row(trial_id="a", round=2, attempt=2),
        attempt_row(trial_id="a", round=2, attempt=3),
        failed_row(trial_id="b", attempt=1),
        failed_row(trial_id="b", attempt=2),
        attempt_row(trial_id="c", kind="pilot", block=0),
    ]
    store = write_store(tmp_path / "store", rows)
    assert rows_of(store, "select trial_id, round, attempt, status from trials order by all") == [
        {"trial_id": "a", "round": 2, "attempt": 2, "status": "ok"},
        {"trial_id": "b", "round": 1, "attempt": 1, "status": "failed"},
    ]
    assert rows_of(store, "select count(*) n from attempts") == [{"n": 7}]


def test_net_energy_subtracts_the_pooled_baseline(tmp_path: Path) -> None:
    """10 J in 1 s and 10 J in 3 s of idling are 5 W for both trials of the block; another block has its own."""
    measured = {"energy_j": 80.0, "energy_scope": "package", "energy_reason": None, "baseline_j": 10.0}
    rows = [
        attempt_row(trial_id="a", baseline_s=1.0, **measured),
        attempt_row(trial_id="b", baseline_s=3.0, **measured),
        attempt_row(trial_id="c", baseline_s=10.0, block=2, **measured),
        attempt_row(trial_id="d"),
        failed_row(trial_id="e"),
    ]
    store = write_store(tmp_path / "store", rows)
    query = "select baseline_w w, energy_net_j net, j_per_item, items_per_s from trials order by trial_id"
    answer = rows_of(store, query)
    assert answer[0] == answer[1] == {"w": 5.0, "net": 70.0, "j_per_item": 1.25, "items_per_s": 32.0}
    assert answer[2]["w"] == 1.0
    assert answer[3] == {"w": None, "net": None, "j_per_item": None, "items_per_s": 32.0}
    assert set(answer[4].values()) == {None}


def test_measured_and_modelled_joules_stay_apart(tmp_path: Path) -> None:
    """A trial with modelled energy only has no joules per item, and the view energy says why."""
    store = write_store(tmp_path / "store", [attempt_row()])
    assert rows_of(store, "select j_per_item, j_per_token, energy_modelled_j m from trials") == [
        {"j_per_item": None, "j_per_token": None, "m": 14.0}
    ]
    assert rows_of(store, "select provenance, joules, valid, reason from energy order by provenance") == [
        {"provenance": "measured", "joules": None, "valid": False, "reason": "no RAPL here"},
        {"provenance": "modelled", "joules": 14.0, "valid": True, "reason": None},
    ]


def test_readings_and_latencies_are_unnested(tmp_path: Path) -> None:
    """There is one row for each reading, unreadable ones included, and for each batch."""
    store = write_store(tmp_path / "store", [attempt_row()])
    readings = rows_of(store, "select channel, unit, source, t_ns, value from readings order by t_ns")
    assert [(row["t_ns"], row["value"]) for row in readings] == [(10, 0.1), (20, None), (30, 0.3)]
    assert readings[0]["channel"] == "work.cpu"
    assert rows_of(store, "select batch, latency_s from latencies order by batch") == [
        {"batch": 1, "latency_s": 0.03},
        {"batch": 2, "latency_s": 0.032},
    ]


def test_compacted_attempts_count_once(tmp_path: Path) -> None:
    """A compacted attempt may still have its own file."""
    rows = [attempt_row(trial_id=str(i)) for i in range(4)]
    store = write_store(tmp_path / "store", rows[:3])
    write_compacted(store, rows[1:])
    assert rows_of(store, "select count(*) n, count(distinct trial_id) d from attempts") == [{"n": 4, "d": 4}]
    assert rows_of(store, "select count(*) n from readings") == [{"n": 12}]


def test_attempts_that_arrive_are_seen(tmp_path: Path) -> None:
    """A study may run while its store is open."""
    store = write_store(tmp_path / "store", [attempt_row(trial_id="a")])
    with Store.open(store) as opened:
        write_attempt(store, attempt_row(trial_id="b"))
        assert opened.arrow("select count(*) n from trials").to_pylist() == [{"n": 2}]


def test_pairs_are_distinct_over_the_versions_of_a_study(tmp_path: Path) -> None:
    """A study with two versions has its pairs once, and two rows in studies."""
    study = study_from()
    store = write_store(tmp_path / "store", [], study)
    write_study(store, study, requested_at=STARTED + timedelta(days=1))
    assert rows_of(store, "select pair, kind, expected_ratio from pairs order by pair") == [
        {"pair": "bert", "kind": "distillation", "expected_ratio": None},
        {"pair": "gpt2", "kind": "distillation", "expected_ratio": None},
    ]
    assert rows_of(store, "select count(*) n, any_value(repetitions) r from studies") == [{"n": 2, "r": 3}]


def test_hostile_names_are_data(tmp_path: Path) -> None:
    """Quotes, newlines, patterns and SQL in paths, models and labels change nothing."""
    name = 'it\'s "x"\n[*]?; drop table trials --'
    store = write_store(tmp_path / f"st'o[re] {name.replace('/', '')}", [attempt_row(model=name, labels={name: name})])
    rows = rows_of(store, "select model, labels from trials")
    assert rows == [{"model": name, "labels": [(name, name)]}]
    with Store.open(store) as opened:
        assert opened.arrow("select 1 x from trials where model = ?", [name]).num_rows == 1


@pytest.mark.parametrize("content", [b"", b"PAR1 torn", b"PAR1" + b"\0" * 200])
@pytest.mark.parametrize("name", ["000.parquet", "zzz.parquet"])
def test_torn_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    """It may be read first or last."""
    store = write_store(tmp_path / "store", [attempt_row(trial_id="m")])
    (store / "attempts" / name).write_bytes(content)
    with pytest.raises(StoreError, match=name):
        rows_of(store, "select count(*) from attempts")


@pytest.mark.parametrize("name", ["000.parquet", "zzz.parquet"])
def test_foreign_parquet_is_named(tmp_path: Path, name: str) -> None:
    """A Parquet file with other columns is never counted."""
    store = write_store(tmp_path / "store", [attempt_row(trial_id="m")])
    pq.write_table(pa.table({"a": [1]}), store / "attempts" / name)
    for query in ("select count(*) from attempts", "select model from trials"):
        with pytest.raises(StoreError, match=name):
            rows_of(store, query)


def test_copied_attempt_is_named(tmp_path: Path) -> None:
    """A copy under another name would count a trial twice."""
    store = write_store(tmp_path / "store", [attempt_row(trial_id="m")])
    file = store / "attempts" / "m-r1-a1.parquet"
    (store / "attempts" / "copy of m.parquet").write_bytes(file.read_bytes())
    with pytest.raises(StoreError, match=r"copy of m\.parquet: not named for the attempt"):
        rows_of(store, "select count(*) from attempts")


def test_attempt_of_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """Its columns may mean something else."""
    store = write_store(tmp_path / "store", [attempt_row(schema_version=SCHEMA_VERSION + 1)])
    with pytest.raises(StoreError, match=r"newer Joulefleet .*Install a newer"):
        rows_of(store, "select count(*) from trials")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "damaged, or not the record of a study"),
        ("[]", "damaged, or not the record of a study"),
        ('{"store_layout": 1}', "no 'study'"),
        ('{"store_layout": 2}', "newer Joulefleet"),
    ],
)
def test_damaged_study_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    """The error says what is wrong and what to do."""
    store = write_store(tmp_path / "store", [])
    (store / "studies" / "odd-1.json").write_text(text, encoding="utf-8")
    with pytest.raises(StoreError, match=message) as caught:
        Store.open(store)
    assert "odd-1.json" in str(caught.value)


def test_study_without_a_key_is_named(tmp_path: Path) -> None:
    """Every study has this key."""
    store = write_store(tmp_path / "store", [])
    file = write_study(store, study_from())
    data = json.loads(file.read_text(encoding="utf-8"))
    del data["study"]["repetitions"]
    file.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(StoreError, match="no 'repetitions'"):
        Store.open(store)
