"""Results of queries in each format."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coordinator.cli.render.query_result import (
    TABLE_ROWS,
    StreamedResult,
    new_file,
    write_result,
    write_result_table,
    write_table,
)
from joulefleet.errors import QueryError

HOSTILE = 'a "quoted", \n\x1b[31m name'


def result_of(*batches: pa.RecordBatch) -> StreamedResult:
    """Return a result of these `batches`."""
    return batches[0].schema, iter(batches)


def everything() -> pa.RecordBatch:
    """Return a row with a value of each type that a view has, and a row of nulls."""
    return pa.record_batch(
        {
            "text": [HOSTILE, None],
            "whole": pa.array([1, None], pa.int64()),
            "real": [0.1, None],
            "flag": [True, None],
            "when": pa.array([datetime(2026, 1, 2, tzinfo=UTC), None], pa.timestamp("us", tz="UTC")),
            "map": pa.array([[("k", "v")], None], pa.map_(pa.string(), pa.string())),
            "list": [["a", "b"], None],
            "huge": pa.array([7, None], pa.decimal128(38, 0)),
            "kind": pa.array(["x", None]).dictionary_encode(),
        }
    )


def written(result: StreamedResult, form: Literal["csv", "json", "parquet"]) -> bytes:
    """Return the bytes that are written."""
    out = io.BytesIO()
    write_result(result, form, out)
    return out.getvalue()


def test_csv_holds_every_type() -> None:
    """Nested values are JSON, nulls are empty cells, and hostile text is quoted."""
    rows = list(csv.reader(io.StringIO(written(result_of(everything()), "csv").decode(), newline="")))
    assert rows[0] == everything().schema.names
    assert rows[1][0] == HOSTILE
    assert rows[1][1:] == ["1", "0.1", "true", "2026-01-02 00:00:00.000000Z", '{"k": "v"}', '["a", "b"]', "7", "x"]
    assert rows[2] == [""] * 9


def test_json_holds_every_type() -> None:
    """The result is an array of objects."""
    rows = json.loads(written(result_of(everything()), "json"))
    assert rows[0]["text"] == HOSTILE
    assert rows[0]["map"] == {"k": "v"}
    assert rows[0]["huge"] == 7
    assert set(rows[1].values()) == {None}


def test_json_of_no_rows_is_an_empty_array() -> None:
    """A program must be able to parse it."""
    assert json.loads(written(result_of(pa.record_batch({"a": pa.array([], pa.int64())})), "json")) == []


def test_parquet_keeps_the_rows() -> None:
    """Parquet keeps the types of the columns."""
    assert pq.read_table(io.BytesIO(written(result_of(everything()), "parquet"))).schema == everything().schema


def test_columns_of_the_same_name_are_numbered() -> None:
    """JSON and Parquet could not hold two columns of the same name."""
    batch = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], names=["a", "a", "a_1"])
    assert json.loads(written(result_of(batch), "json")) == [{"a": 1, "a_1": 2, "a_1_1": 3}]


def test_the_result_is_streamed() -> None:
    """Each batch is written before the next one is computed."""
    out = io.BytesIO()
    seen: list[int] = []

    def batches() -> Iterator[pa.RecordBatch]:
        for _ in range(3):
            seen.append(len(out.getvalue()))
            yield pa.record_batch({"a": list(range(1000))})

    write_result((pa.schema([("a", pa.int64())]), batches()), "csv", out)
    assert seen[0] < seen[1] < seen[2]


def test_long_table_is_cut_and_says_how_long_it_is() -> None:
    """The rows go to one stream, the note to the other."""
    out, notes = io.StringIO(), io.StringIO()
    batch = pa.record_batch({"a": list(range(80))})
    write_result_table(result_of(batch, batch, batch), out, notes)
    assert len(out.getvalue().splitlines()) == TABLE_ROWS + 1
    assert notes.getvalue().startswith(f"{TABLE_ROWS} of 240 rows shown.")


def test_table_shows_one_line_a_row() -> None:
    """This holds for any value: numbers have six digits, nulls are NULL, long values are cut."""
    out, notes = io.StringIO(), io.StringIO()
    batch = pa.record_batch({"a": [HOSTILE, None], "b": [1 / 3, 2.0], "c": ["x" * 500, ""]})
    write_result_table(result_of(batch), out, notes)
    header, first, second = out.getvalue().splitlines()
    assert "0.333333" in first
    assert "\x1b" not in first
    assert len(first) < 150
    assert second.split()[:2] == ["NULL", "2"]
    assert notes.getvalue() == ""
    assert header.split() == ["a", "b", "c"]


def test_a_file_is_complete_or_left_as_it_was(tmp_path: Path) -> None:
    """A query that fails leaves the earlier file as it was."""
    path = tmp_path / "out.csv"
    path.write_text("before")
    with pytest.raises(OverflowError), new_file(path) as file:
        file.write((-1).to_bytes(1))
    assert path.read_text() == "before"
    with new_file(path) as file:
        file.write(b"whole")
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["", "missing/out.csv"])
def test_file_that_cannot_be_written_is_one_line_with_a_cure(tmp_path: Path, name: str) -> None:
    """The path may be a folder, or in a folder that does not exist."""
    with pytest.raises(QueryError, match="Name another file"), new_file(tmp_path / name):
        pass


def test_a_device_is_written_to_directly() -> None:
    """A rename would replace the device by a file."""
    with new_file(Path("/dev/null")) as file:
        file.write(b"x")
    assert not Path("/dev/null").is_file()


def test_values_of_any_case_are_cells() -> None:
    """Booleans are spelt as in SQL, whole decimals have no point, and nested values are JSON."""
    out = io.StringIO()
    columns: dict[str, Any] = {name: everything().column(name) for name in ("flag", "map", "huge", "when")}
    write_result_table(result_of(pa.record_batch(columns)), out, io.StringIO())
    assert out.getvalue().splitlines()[1].split() == ["true", '{"k":', '"v"}', "7", "2026-01-02T00:00:00+00:00"]


def test_piped_table_is_plain() -> None:
    """Another program reads it, so it has neither colours nor rules."""
    out = io.StringIO()
    write_table(out, ("x",), [("[red]1[/red]",)])
    assert out.getvalue() == "x\n[red]1[/red]\n"


def test_table_on_a_terminal_takes_no_markup_from_cells() -> None:
    """Rich would interpret text in brackets as a colour."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    write_table(out, ("x",), [("[red]1[/red]",)])
    assert "[red]1[/red]" in out.getvalue()
