"""Queries that are wrong, hostile or unusual."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from joulefleet.errors import QueryError, StoreError
from joulefleet.query import Store
from joulefleet.query.views import VIEWS
from tests.support.attempt_rows import study_from, twelve_cell_rows, write_store


@pytest.fixture(scope="module")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the store of a finished study of 36 trials, which the tests only read."""
    study = study_from()
    store = write_store(tmp_path_factory.mktemp("twelve") / "store", twelve_cell_rows(study), study)
    other = store / "attempts-of-another"
    other.mkdir()
    pq.write_table(pa.table({"a": [1]}), other / "a.parquet")
    return store


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("select windows_s from trials", 'Did you mean .*"window_s"'),
        ("select * from trial", 'Did you mean "trials"'),
        ("selec 1", "syntax error"),
        ("", "empty"),
        ("-- nothing", "empty"),
        ("select 1; select 2", "2 statements"),
        ("select cast('a' as int)", "Could not convert"),
        ("select ?", "parameters"),
    ],
)
def test_wrong_sql_is_one_line_with_a_cure(twelve: Path, query: str, message: str) -> None:
    """DuckDB's traceback is not shown."""
    with Store.open(twelve) as store, pytest.raises(QueryError, match=message) as caught:
        store.arrow(query)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "query",
    [
        "copy (select 1) to '{store}/attempts/evil.parquet'",
        "with x as (copy (select 1) to '{store}/attempts/evil.parquet') select 1",
        "explain analyze copy (select 1) to '{store}/attempts/evil.parquet'",
        "explain analyze with x as (copy (select 1) to '{store}/attempts/evil.parquet') select 1",
        "select * from query('with x as (copy (select 1) to ''{store}/attempts/evil.parquet'') select 1')",
        "with x as (insert into internal.studies select * from internal.studies returning *) select * from x",
        "with x as (delete from internal.comparands returning *) select * from x",
        "create table t as select 1",
        "drop view trials",
        "set threads = 1",
        "attach '{store}/x.db'",
        "install httpfs",
        "load httpfs",
        "select * from read_text('/etc/passwd')",
        "select * from read_text('{store}/format.json')",
        "select * from read_text('{store}/attempts/../format.json')",
        "select * from '{store}/attempts-of-another/a.parquet'",
        "from glob('/etc/*')",
        "export database '{store}/attempts/x'",
        "pragma database_list",
        "checkpoint",
        "begin",
        "select * from read_csv('/etc/passwd')",
        "select * from read_csv_auto('/proc/self/environ')",
        "select * from read_blob('/etc/passwd')",
        "select * from read_json('/etc/passwd')",
        "select * from read_parquet('https://example.org/x.parquet')",
        "select * from sniff_csv('/etc/passwd')",
        "select * from parquet_metadata('/etc/passwd')",
        "select * from parquet_kv_metadata('{store}/attempts-of-another/a.parquet')",
        "from '/etc/passwd.csv'",
        "select getenv('HOME')",
        "copy trials to '/dev/stdout'",
        "copy (select 1) to '{store}/attempts/evil.parquet' (format parquet)",
        "attach ':memory:' as other",
        "attach 'http://example.org/x.db'",
        "detach memory",
        "use internal",
        "force install httpfs from community",
        "update extensions",
        "pragma enable_profiling",
        "set allowed_directories = ['/']",
        "set enable_external_access = true",
        "set temp_directory = '/'",
        "set variable x = 1",
        "reset lock_configuration",
        "from enable_logging(storage := 'file', storage_path := '{store}/log')",
        "call enable_logging()",
        "create secret (type s3)",
        "create macro evil() as 1",
        "create temp table t as select 1",
        "alter view trials rename to others",
        "prepare p as select 1",
        "import database '{store}'",
        "vacuum",
        "select nextval('s')",
        "comment on view trials is 'mine'",
    ],
)
def test_store_is_only_read(twelve: Path, query: str) -> None:
    """No file outside the store is read, and no file is written."""
    before = sorted(twelve.rglob("*"))
    with Store.open(twelve) as store:
        with pytest.raises((QueryError, StoreError)):
            store.arrow(query.format(store=twelve))
        assert store.arrow("select count(*) n from pairs").to_pylist() == [{"n": 2}]
    assert sorted(twelve.rglob("*")) == before


@pytest.mark.parametrize(
    "query",
    [
        "describe trials",
        "show tables",
        "summarize select 1 as a",
        "from trials limit 1",
        "values (1)",
        "pivot trials on model using avg(items) group by task",
        "explain select 1",
        "explain analyze select 1",
        "with a as (select 1) select * from a -- the end",
        "select 1;",
    ],
)
def test_every_kind_of_question_is_answered(twelve: Path, query: str) -> None:
    """Every statement that only reads is allowed."""
    with Store.open(twelve) as store:
        assert store.arrow(query).num_rows >= 1


def test_tables_shown_are_the_views(twelve: Path) -> None:
    """The internal tables are hidden."""
    with Store.open(twelve) as store:
        assert {row["name"] for row in store.arrow("show tables").to_pylist()} == set(VIEWS)


def test_variables_of_the_caller_are_no_tables(twelve: Path) -> None:
    """A query means the same in every program."""
    secret = pa.table({"a": [1]})
    with Store.open(twelve) as store, pytest.raises(QueryError):
        store.arrow("select * from secret")
    assert secret.num_rows == 1
