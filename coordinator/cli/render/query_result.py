"""Writes the result of a query: as a table for people, or as a stream of CSV, JSON or Parquet."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, TextIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from coordinator.cli.render.json import json_text, plain
from coordinator.text import printable, table_lines
from joulefleet.durable import atomic_write
from joulefleet.errors import QueryError

StreamedResult = tuple[pa.Schema, Iterator[pa.RecordBatch]]
"""The columns, and the rows in batches, each computed when it is asked for."""

TABLE_ROWS = 100
"""Most rows that a table shows."""

_CELL_CHARACTERS = 60
"""Most characters of a cell that a table shows."""

_PLAIN_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
"""A column name that CSV need not quote."""


def write_result(result: StreamedResult, output_format: Literal["csv", "json", "parquet"], out: IO[bytes]) -> None:
    """Write all rows of `result` to `out`, one batch at a time."""
    schema, batches = _unique_names(result)
    match output_format:
        case "csv":
            _write_csv(schema, batches, out)
        case "json":
            _write_json(schema, batches, out)
        case "parquet":
            with pq.ParquetWriter(out, schema) as writer:
                for batch in batches:
                    writer.write_batch(batch)


def write_result_table(result: StreamedResult, out: TextIO, notes: TextIO) -> None:
    """Write the first rows of `result` to `out` as a table; if there are more, write the number of rows to `notes`."""
    schema, batches = _unique_names(result)
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


def write_table(
    out: TextIO, headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[int] = ()
) -> None:
    """Write `rows` under `headers` to `out`: with a drawn rule on a terminal, else as aligned plain text.

    The columns whose numbers are in `right` are aligned to the right.
    """
    if not out.isatty():
        out.writelines(f"{line}\n" for line in table_lines(headers, rows, right=right))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, header in enumerate(headers):
        table.add_column(Text(printable(header)), justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console(file=out, highlight=False).print(table)


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Open `path` for writing; a file is complete after the block, or left as it was. Raises QueryError."""
    # A device or a pipe is written to directly: a rename would replace it by a file.
    is_device = path.exists() and not path.is_file()
    try:
        with path.open("wb") if is_device else atomic_write(path) as file:
            yield file
    except OSError as error:
        raise QueryError(
            f"{path}: cannot be written ({error.strerror or error}).", cure="Name another file with -o."
        ) from error


def _unique_names(result: StreamedResult) -> StreamedResult:
    """Return `result` with a number added to each column name that an earlier column has."""
    schema, batches = result
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
    no_quotes = all(_PLAIN_NAME.match(name) for name in schema.names)
    options = pa.csv.WriteOptions(quoting_header="none" if no_quotes else "needed")
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
    return None if value is None else value if isinstance(value, str) else json_text(value, indent=None)


def _write_json(schema: pa.Schema, batches: Iterator[pa.RecordBatch], out: IO[bytes]) -> None:
    separator = "["
    for batch in batches:
        for row in _rows(batch):
            out.write(f"{separator}\n{json_text(dict(zip(schema.names, row, strict=True)), indent=None)}".encode())
            separator = ","
    out.write(b"[]\n" if separator == "[" else b"\n]\n")


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
            data = plain(value)
            text = str(data) if isinstance(data, int | float | str) else json.dumps(data, ensure_ascii=False)
    return text if len(text) <= _CELL_CHARACTERS else text[: _CELL_CHARACTERS - 1] + "…"
