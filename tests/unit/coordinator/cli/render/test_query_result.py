"""Answers in each format."""

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
    write_answer,
    write_answer_table,
    write_table,
)
from joulefleet.errors import QueryError

HOSTILE = 'a "quoted", \n\x1b[31m name'


def answer_of(*batches: pa.RecordBatch) -> StreamedResult:
    """An answer of `batches`."""
    return batches[0].schema, iter(batches)


def everything() -> pa.RecordBatch:
    """One value of each type that a view has, and a null of each."""
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


def written(answer: StreamedResult, form: Literal["csv", "json", "parquet"]) -> bytes:
    """What is written."""
    out = io.BytesIO()
    write_answer(answer, form, out)
    return out.getvalue()


def test_csv_holds_every_type() -> None:
    """Nested values as JSON, nulls empty, hostile text quoted."""
    rows = list(csv.reader(io.StringIO(written(answer_of(everything()), "csv").decode(), newline="")))
    assert rows[0] == everything().schema.names
    assert rows[1][0] == HOSTILE
    assert rows[1][1:] == ["1", "0.1", "true", "2026-01-02 00:00:00.000000Z", '{"k": "v"}', '["a", "b"]', "7", "x"]
    assert rows[2] == [""] * 9


def test_json_holds_every_type() -> None:
    """An array of objects."""
    rows = json.loads(written(answer_of(everything()), "json"))
    assert rows[0]["text"] == HOSTILE
    assert rows[0]["map"] == {"k": "v"}
    assert rows[0]["huge"] == 7
    assert set(rows[1].values()) == {None}


def test_json_of_no_rows_is_an_empty_array() -> None:
    """And not nothing."""
    assert json.loads(written(answer_of(pa.record_batch({"a": pa.array([], pa.int64())})), "json")) == []


def test_parquet_is_the_answer() -> None:
    """With its types."""
    assert pq.read_table(io.BytesIO(written(answer_of(everything()), "parquet"))).schema == everything().schema


def test_columns_of_one_name_are_told_apart() -> None:
    """None is lost."""
    batch = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], names=["a", "a", "a_1"])
    assert json.loads(written(answer_of(batch), "json")) == [{"a": 1, "a_1": 2, "a_1_1": 3}]


def test_answer_is_streamed() -> None:
    """Each batch is written before the next is asked for."""
    out = io.BytesIO()
    seen: list[int] = []

    def batches() -> Iterator[pa.RecordBatch]:
        for _ in range(3):
            seen.append(len(out.getvalue()))
            yield pa.record_batch({"a": list(range(1000))})

    write_answer((pa.schema([("a", pa.int64())]), batches()), "csv", out)
    assert seen[0] < seen[1] < seen[2]


def test_long_table_is_cut_and_says_how_long_it_is() -> None:
    """The rows on the one stream, the note on the other."""
    out, notes = io.StringIO(), io.StringIO()
    batch = pa.record_batch({"a": list(range(80))})
    write_answer_table(answer_of(batch, batch, batch), out, notes)
    assert len(out.getvalue().splitlines()) == TABLE_ROWS + 1
    assert notes.getvalue().startswith(f"{TABLE_ROWS} of 240 rows shown.")


def test_table_shows_one_line_a_row() -> None:
    """Whatever the values hold; numbers in six digits, nulls as NULL, long values cut."""
    out, notes = io.StringIO(), io.StringIO()
    batch = pa.record_batch({"a": [HOSTILE, None], "b": [1 / 3, 2.0], "c": ["x" * 500, ""]})
    write_answer_table(answer_of(batch), out, notes)
    header, first, second = out.getvalue().splitlines()
    assert "0.333333" in first
    assert "\x1b" not in first
    assert len(first) < 150
    assert second.split()[:2] == ["NULL", "2"]
    assert notes.getvalue() == ""
    assert header.split() == ["a", "b", "c"]


def test_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    """What was there before stays when the query fails."""
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
    """A folder, and a folder that is not there."""
    with pytest.raises(QueryError, match="Name another file"), new_file(tmp_path / name):
        pass


def test_device_is_written_to_as_it_is() -> None:
    """A rename would put a file in its place."""
    with new_file(Path("/dev/null")) as file:
        file.write(b"x")
    assert not Path("/dev/null").is_file()


def test_values_of_any_case_are_cells() -> None:
    """Booleans in SQL's spelling, whole decimals without a point, nested values as JSON."""
    out = io.StringIO()
    columns: dict[str, Any] = {name: everything().column(name) for name in ("flag", "map", "huge", "when")}
    write_answer_table(answer_of(pa.record_batch(columns)), out, io.StringIO())
    assert out.getvalue().splitlines()[1].split() == ["true", '{"k":', '"v"}', "7", "2026-01-02T00:00:00+00:00"]


def test_piped_table_is_plain() -> None:
    """No colour and no rules where it is no terminal."""
    out = io.StringIO()
    write_table(out, ("x",), [("[red]1[/red]",)])
    assert out.getvalue() == "x\n[red]1[/red]\n"


def test_table_on_a_terminal_takes_no_markup_from_cells() -> None:
    """A name in brackets is a name."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    write_table(out, ("x",), [("[red]1[/red]",)])
    assert "[red]1[/red]" in out.getvalue()
