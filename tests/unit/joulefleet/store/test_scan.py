"""The query of a store's rows, and the errors that name a file."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from joulefleet.errors import StoreError
from joulefleet.schema import ATTEMPT_SCHEMA, attempt_table
from joulefleet.store.scan import file_fault, file_problem, glob_safe, quoted, rows_query, scan_errors
from joulefleet.store.snapshot import FileGone
from joulefleet.versions import SCHEMA_VERSION
from tests.support.attempt_rows import attempt_row


def write(folder: Path, name: str = "t-r1-a1", **overrides: object) -> str:
    """Write a file of one attempt in `folder`."""
    file = folder / f"{name}.parquet"
    pq.write_table(attempt_table(attempt_row(trial_id="t") | overrides), file)
    return str(file)


def scan(*files: str, loose: bool = False) -> pa.Table:
    """Return the rows of `files`. Raises StoreError."""
    with duckdb.connect(":memory:") as connection, scan_errors():
        return connection.sql(rows_query(files, loose=loose)).to_arrow_table()


def test_rows_have_the_columns_of_the_schema_in_the_order_of_the_files(tmp_path: Path) -> None:
    """And no other column, such as the file's name."""
    files = [write(tmp_path, name, attempt_id=name) for name in ("b", "a")]
    table = scan(*files, loose=True)
    assert table.column_names == ATTEMPT_SCHEMA.names
    assert table.column("attempt_id").to_pylist() == ["b", "a"]


def test_a_path_is_no_pattern_and_no_sql(tmp_path: Path) -> None:
    """Quotes and patterns in a name match that file only."""
    odd = tmp_path / "it's \"[ab]*?\n"
    odd.mkdir()
    assert scan(write(odd), loose=True).num_rows == 1
    assert quoted("it's") == "'it''s'"
    assert glob_safe("[a]*") == "[[]a][*]"


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (SCHEMA_VERSION - 1, rf"an older Joulefleet \(schema version {SCHEMA_VERSION - 1}, .*or run the study again"),
        (SCHEMA_VERSION + 1, rf"a newer Joulefleet \(schema version {SCHEMA_VERSION + 1}, .*Install a newer"),
        (None, r"an older Joulefleet \(no schema version"),
    ],
)
@pytest.mark.parametrize("loose", [True, False])
def test_a_row_of_another_version_fails_the_scan(
    tmp_path: Path, version: int | None, message: str, *, loose: bool
) -> None:
    """The error names its file, though the other file is sound."""
    files = [write(tmp_path), write(tmp_path, "x", attempt_id="x", schema_version=version)]
    with pytest.raises(StoreError, match=rf"{files[1]}: written by {message}"):
        scan(*files, loose=loose)


def test_only_a_loose_file_has_to_be_named_by_its_attempt(tmp_path: Path) -> None:
    """A copy would count the attempt twice; a compacted file is named by its digest."""
    copy = write(tmp_path, "copy of t")
    assert scan(copy).num_rows == 1
    with pytest.raises(StoreError, match=r"copy of t\.parquet: not named for the attempt it holds"):
        scan(copy, loose=True)
    with pytest.raises(StoreError, match="not named"):
        scan(write(tmp_path, "none", attempt_id=None), loose=True)


def test_each_problem_of_a_file_has_its_words(tmp_path: Path) -> None:
    """A sound file has none."""
    sound = write(tmp_path)
    torn = tmp_path / "torn.parquet"
    torn.write_bytes(Path(sound).read_bytes()[:-10])
    foreign = tmp_path / "foreign.parquet"
    pq.write_table(pa.table({"a": [1]}), foreign)
    lacking = tmp_path / "lacking.parquet"
    pq.write_table(attempt_table(attempt_row()).drop_columns(["flags", "items"]), lacking)
    assert file_problem(sound) is None
    for file, what in (
        (torn, "torn, or no Parquet at all"),
        (tmp_path, "torn, or no Parquet at all"),
        (foreign, "no file of this store (it has no column assignment)"),
        (lacking, "no file of this store (it has no column flags)"),
    ):
        problem = file_problem(str(file))
        assert problem is not None
        assert problem.problems == (f"{file}: {what}.",)
    assert isinstance(file_problem(str(tmp_path / "gone.parquet")), FileGone)


def test_a_scan_that_fails_names_the_file_at_fault(tmp_path: Path) -> None:
    """Torn, foreign or gone, and whether it comes first or last."""
    sound, torn, foreign = write(tmp_path), tmp_path / "torn.parquet", tmp_path / "foreign.parquet"
    torn.write_bytes(b"PAR1 torn")
    pq.write_table(attempt_table(attempt_row()).drop_columns(["flags"]), foreign)
    for file in (torn, foreign):
        with pytest.raises(StoreError, match=file.name):
            scan(sound, str(file))
    with pytest.raises(FileGone, match=r"gone\.parquet: was compacted while it was read"):
        scan(sound, str(tmp_path / "gone.parquet"))


def test_an_error_that_no_file_caused_is_an_error_of_the_store(tmp_path: Path) -> None:
    """With a cure, and without DuckDB's own words beyond the first line."""
    error = duckdb.OutOfMemoryException("Out of Memory Error: failed to allocate\nPossible solutions: ...")
    assert file_fault(error) is None
    with (
        pytest.raises(StoreError, match=r"cannot be scanned: Out of Memory Error: failed to allocate\. Free"),
        scan_errors(),
    ):
        raise error


def test_other_errors_pass_through() -> None:
    """A mistake of ours is no damaged store."""
    with pytest.raises(KeyError), scan_errors():
        raise KeyError("x")
