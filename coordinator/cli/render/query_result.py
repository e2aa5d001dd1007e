"""Writes the answer to a query: as a table for people, or streamed as CSV, JSON or Parquet."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, TextIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from coordinator.cli.render.json import plain
from coordinator.cli.render.tables import write_table
from joulefleet.errors import QueryError

Format = Literal["table", "csv", "json", "parquet"]
StreamedResult = tuple[pa.Schema, Iterator[pa.RecordBatch]]
"""The columns, and the rows in batches as they are computed."""

TABLE_ROWS = 100
"""More than this nobody reads on a terminal."""

_CELL_CHARACTERS = 60
_HARMLESS = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


def write_answer(answer: StreamedResult, form: Literal["csv", "json", "parquet"], out: IO[bytes]) -> None:
    """Write all of `answer` to `out`, without ever holding all of it."""
    schema, batches = _unique_names(answer)
    match form:
        case "csv":
            _write_csv(schema, batches, out)
        case "json":
            _write_json(schema, batches, out)
        case "parquet":
            with pq.ParquetWriter(out, schema) as writer:
                for batch in batches:
                    writer.write_batch(batch)


def write_answer_table(answer: StreamedResult, out: TextIO, notes: TextIO) -> None:
    """Write the first rows of `answer` to `out` for people, and to `notes` how many there are if that is not all."""
    schema, batches = _unique_names(answer)
    rows: list[tuple[Any, ...]] = []
    total = 0
    for batch in batches:
        total += batch.num_rows
        rows += _rows(batch.slice(0, TABLE_ROWS - len(rows)))
    if schema.names == ["explain_key", "explain_value"]:
        out.writelines(f"{text}\n" for _, text in rows)
        return
    numeric = {index for index, field in enumerate(schema) if _is_number(field.type)}
    write_table(out, schema.names, [[_cell(value) for value in row] for row in rows], right=numeric)
    if total > len(rows):
        notes.write(f"{len(rows)} of {total} rows shown. --format csv, json or parquet gives all.\n")


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """The file `path` for writing: there whole at the end, or not at all. Raises QueryError."""
    # Devices and pipes are written to as they are; a rename would put a file in their place.
    direct = path.exists() and not path.is_file()
    target = path if direct else path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with target.open("wb") as file:
            yield file
        if not direct:
            target.replace(path)
    except OSError as error:
        raise QueryError(
            f"{path}: cannot be written ({error.strerror or error}).", cure="Name another file with -o."
        ) from error
    finally:
        if not direct:
            target.unlink(missing_ok=True)


def _unique_names(answer: StreamedResult) -> StreamedResult:
    """`answer` with a number behind each column's name that was there before."""
    schema, batches = answer
    names: list[str] = []
    for name in schema.names:
        unique, number = name, 1
        while unique in names:
            unique, number = f"{name}_{number}", number + 1
        names.append(unique)
    renamed = pa.schema([field.with_name(name) for field, name in zip(schema, names, strict=True)])
    return renamed, (pa.RecordBatch.from_arrays(batch.columns, schema=renamed) for batch in batches)


def _write_csv(schema: pa.Schema, batches: Iterator[pa.RecordBatch], out: IO[bytes]) -> None:
    fields = [field if _fits_csv(field.type) else pa.field(field.name, pa.string()) for field in schema]
    flat = pa.schema(fields)
    bare = all(_HARMLESS.match(name) for name in schema.names)
    options = pa.csv.WriteOptions(quoting_header="none" if bare else "needed")
    with pa.csv.CSVWriter(out, flat, write_options=options) as writer:
        for batch in batches:
            columns = [
                column if _fits_csv(column.type) else pa.array(map(_csv_text, _values(column)), pa.string())
                for column in batch.columns
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=flat))


def _fits_csv(kind: pa.DataType) -> bool:
    checks = (pa.types.is_boolean, _is_number, pa.types.is_string, pa.types.is_date, pa.types.is_time)
    return any(check(kind) for check in (*checks, pa.types.is_timestamp))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _csv_text(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else _json(value)


def _write_json(schema: pa.Schema, batches: Iterator[pa.RecordBatch], out: IO[bytes]) -> None:
    separator = "["
    for batch in batches:
        for row in _rows(batch):
            out.write(f"{separator}\n{_json(dict(zip(schema.names, row, strict=True)))}".encode())
            separator = ","
    out.write(b"[]\n" if separator == "[" else b"\n]\n")


def _json(value: Any) -> str:
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False)


def _rows(batch: pa.RecordBatch) -> list[tuple[Any, ...]]:
    return list(zip(*(_values(column) for column in batch.columns), strict=True))


def _values(column: pa.Array) -> list[Any]:
    values: list[Any] = column.to_pylist(maps_as_pydicts="lossy")
    return values


def _cell(value: Any) -> str:
    match value:
        case None:
            text = "NULL"
        case bool():
            text = str(value).lower()
        case float():
            text = f"{value:.6g}"
        case str():
            text = value
        case _:
            plainer = plain(value)
            text = str(plainer) if isinstance(plainer, int | float | str) else json.dumps(plainer, ensure_ascii=False)
    return text if len(text) <= _CELL_CHARACTERS else text[: _CELL_CHARACTERS - 1] + "…"
