"""Attempts in row groups: read from their loose files, written to a compacted file, read back and compared.

The row group is the unit of all of it: small enough that one attempt is found and held in memory
fast, large enough to compress.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import IO

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from joulefleet.schema import ADDED_LATER, ATTEMPT_SCHEMA
from joulefleet.store.layout import StoreLayout
from joulefleet.store.scan import has_older_rows, rows_query, scan_errors
from joulefleet.store.snapshot import file_error

GROUP_ROWS = 1024
"""Rows of a row group. With 256 a question about every trial takes half as long again, and a row a twentieth more
space; 2,048 are no faster."""

GROUP_BYTES = 16 << 20
"""Loose bytes of a row group, without footers: attempts with very many readings make smaller ones. Five times that
in memory."""

_TAIL_BYTES = 8

_READERS = 2
"""Connections that read loose files at once, one thread each: two threads of one connection cost a third more."""

_READER_MEMORY = "256MB"

_DELTA = ("t_ns.list.element", "latencies_ns.list.element")
"""The ends of the columns that grow steadily: as differences a row takes a fifth less space.

BYTE_STREAM_SPLIT for the values of readings was tried: no smaller, and a third larger where counters
repeat their values, which a dictionary holds once.
"""


def loose_groups(layout: StoreLayout, names: Sequence[str], spill: Path) -> Iterator[pa.Table]:
    """The rows of the loose files `names`, in this order, one table a row group. Raises StoreError.

    What DuckDB cannot hold goes to the folder `spill`.
    """
    mixed = has_older_rows(layout)
    idle: SimpleQueue[duckdb.DuckDBPyConnection] = SimpleQueue()
    for _ in range(_READERS):
        idle.put(_connect(spill, mixed=mixed))

    def read(group: Sequence[str]) -> pa.Table:
        connection = idle.get()
        try:
            query = rows_query([f"{layout.attempts}/{name}" for name in group], mixed=mixed, loose=True)
            with scan_errors():
                return connection.sql(query).to_arrow_table().cast(ATTEMPT_SCHEMA).combine_chunks()
        finally:
            idle.put(connection)

    with ThreadPoolExecutor(_READERS, thread_name_prefix="joulefleet-compact") as pool:
        ahead: deque[Future[pa.Table]] = deque()
        try:
            for group in _grouped(layout.attempts, names):
                ahead.append(pool.submit(read, group))
                if len(ahead) > _READERS:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for waiting in ahead:
                waiting.cancel()


def compacted_groups(files: Iterable[Path]) -> Iterator[pa.Table]:
    """The rows of the compacted `files`, one table a row group; small row groups are joined. Raises StoreError."""
    waiting: list[pa.Table] = []
    rows = size = 0
    for path in files:
        for table in read_groups(path):
            if waiting and (rows + table.num_rows > GROUP_ROWS or size + table.nbytes > 5 * GROUP_BYTES):
                yield pa.concat_tables(waiting).combine_chunks()
                waiting, rows, size = [], 0, 0
            waiting.append(table)
            rows, size = rows + table.num_rows, size + table.nbytes
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def read_groups(path: Path) -> Iterator[pa.Table]:
    """The row groups of the compacted file at `path`. Raises StoreError where it cannot be read."""
    try:
        with pq.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                yield _whole(file.read_row_group(number)).combine_chunks()
    except (pa.ArrowException, OSError) as error:
        raise file_error(path, "torn, or no file of this store") from error


def write_groups(out: IO[bytes], groups: Iterable[pa.Table]) -> tuple[list[str], list[bytes]]:
    """Write `groups` as a Parquet file; the ids of the attempts, and the digest of each row group. Raises OSError."""
    ids: list[str] = []
    digests: list[bytes] = []
    leaves = _leaves()
    steady = [leaf for leaf in leaves if leaf.endswith(_DELTA)]
    with pq.ParquetWriter(
        out,
        ATTEMPT_SCHEMA,
        compression="zstd",
        use_dictionary=[leaf for leaf in leaves if leaf not in steady],
        column_encoding=dict.fromkeys(steady, "DELTA_BINARY_PACKED"),
    ) as writer:
        for group in groups:
            writer.write_table(group, row_group_size=group.num_rows)
            ids += group.column("attempt_id").to_pylist()
            digests.append(rows_digest(group))
    return ids, digests


def rows_digest(table: pa.Table) -> bytes:
    """A digest of the rows of `table`: equal where every value is, to the last bit, null and empty told apart."""
    digest = hashlib.blake2b(digest_size=20)
    for name, column in zip(table.column_names, table.combine_chunks().columns, strict=True):
        digest.update(name.encode())
        for chunk in column.chunks:
            for part in _parts(chunk):
                digest.update(part)
    return digest.digest()


def _parts(values: pa.Array) -> Iterator[bytes | memoryview]:
    """The bytes that say what `values` are, and nothing of how they happen to lie in memory."""
    yield values.is_valid().cast(pa.uint8()).to_numpy(zero_copy_only=False).data
    kind = values.type
    if pa.types.is_map(kind):
        kind = pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)]))
        values = values.cast(kind)
    if pa.types.is_list(kind):
        yield pc.list_value_length(values).fill_null(0).to_numpy(zero_copy_only=False).data
        yield from _parts(values.flatten())
    elif pa.types.is_struct(kind):
        for field in values.flatten():
            yield from _parts(field)
    elif pa.types.is_string(kind):
        texts = values.fill_null("")
        yield pc.binary_length(texts).to_numpy(zero_copy_only=False).data
        yield "".join(texts.to_pylist()).encode()
    else:
        if pa.types.is_timestamp(kind):
            values = values.cast(pa.int64())
        if pa.types.is_boolean(kind):
            values = values.cast(pa.uint8())
        yield values.fill_null(0).to_numpy(zero_copy_only=False).data


def _grouped(folder: Path, names: Sequence[str]) -> Iterator[list[str]]:
    group: list[str] = []
    size = 0
    for name in names:
        row_bytes = _row_bytes(folder / name)
        if group and (len(group) == GROUP_ROWS or size + row_bytes > GROUP_BYTES):
            yield group
            group, size = [], 0
        size += row_bytes
        group.append(name)
    if group:
        yield group


def _row_bytes(path: Path) -> int:
    """Bytes of the loose file at `path` without its footer: most of a file, and a row group has one for all rows."""
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        # The length of the footer, in four bytes, and the four that every Parquet file ends with.
        file.seek(max(0, size - _TAIL_BYTES))
        footer = int.from_bytes(file.read(4), "little")
    return max(0, size - footer - _TAIL_BYTES)


def _connect(spill: Path, *, mixed: bool) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": "1",
            "memory_limit": _READER_MEMORY,
            "temp_directory": str(spill),
            # Each file is read once.
            "enable_external_file_cache": "false",
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    if mixed:
        connection.execute("CREATE SCHEMA internal")
        connection.register("arriving", ATTEMPT_SCHEMA.empty_table())
        connection.execute("CREATE TABLE internal.no_loose AS SELECT * FROM arriving")
    return connection


def _whole(table: pa.Table) -> pa.Table:
    """`table` with the columns that its version of the schema lacks, as nulls."""
    for field in ATTEMPT_SCHEMA:
        if field.name not in table.column_names:
            if field.name not in ADDED_LATER:
                raise pa.ArrowInvalid(f"no column {field.name}")
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table.select(ATTEMPT_SCHEMA.names).cast(ATTEMPT_SCHEMA)


def _leaves() -> list[str]:
    """The paths of the schema's columns as Parquet names them."""
    out = pa.BufferOutputStream()
    pq.write_table(ATTEMPT_SCHEMA.empty_table(), out)
    parquet = pq.ParquetFile(pa.BufferReader(out.getvalue())).schema
    return [parquet.column(index).path for index in range(len(parquet))]
