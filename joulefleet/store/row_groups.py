"""Attempts in row groups: read from their loose files, written to a compacted file, read back and compared.

All of this works on one row group at a time: it is small enough to find one attempt fast and to fit in
memory, and large enough to compress.
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

from joulefleet.schema import ATTEMPT_SCHEMA
from joulefleet.store.layout import StoreLayout
from joulefleet.store.scan import file_problem, rows_query, scan_errors
from joulefleet.store.snapshot import file_error

GROUP_ROWS = 1024
"""Most rows of a row group. With 256, a query over every trial takes 1.5 times as long and a row 5 % more space;
2,048 are no faster."""

GROUP_BYTES = 16 << 20
"""Most bytes of a row group, as loose files without their footers; in memory it takes five times as much. Attempts
with very many readings make groups of fewer rows."""

_TAIL_BYTES = 8

_READERS = 2
"""Connections that read loose files at once, one thread each: two threads of one connection take 1.3 times as long."""

_READER_MEMORY = "256MB"

_DELTA = ("t_ns.list.element", "latencies_ns.list.element")
"""Endings of the columns whose values grow steadily. Stored as differences, a row takes 20 % less space.

BYTE_STREAM_SPLIT for the values of readings saves nothing, and takes a third more space where a counter
repeats its values, which a dictionary stores once.
"""


def loose_groups(layout: StoreLayout, names: Sequence[str], spill: Path) -> Iterator[pa.Table]:
    """Yield the rows of the loose files `names`, in this order, one table for each row group. Raises StoreError.

    DuckDB writes what does not fit in memory to the folder `spill`.
    """
    idle: SimpleQueue[duckdb.DuckDBPyConnection] = SimpleQueue()
    for _ in range(_READERS):
        idle.put(_connect(spill))

    def read(group: Sequence[str]) -> pa.Table:
        connection = idle.get()
        try:
            query = rows_query([f"{layout.attempts}/{name}" for name in group], loose=True)
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
    """Yield the rows of the compacted `files`, with small row groups joined. Raises StoreError."""
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
    """Yield the row groups of the compacted file at `path`. Raises StoreError where it cannot be read."""
    if (problem := file_problem(str(path))) is not None:
        raise problem
    try:
        with pq.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                table = file.read_row_group(number)
                yield table.select(ATTEMPT_SCHEMA.names).cast(ATTEMPT_SCHEMA).combine_chunks()
    except (pa.ArrowException, OSError) as error:
        raise file_error(path, "torn, or no file of this store") from error


def write_groups(out: IO[bytes], groups: Iterable[pa.Table]) -> tuple[list[str], list[bytes]]:
    """Write `groups` as a Parquet file to `out`. Raises OSError.

    Returns the ids of the attempts in the order of the rows, and the digest of each row group.
    """
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
    """Return a digest of the rows of `table`: equal only where every value is equal to the last bit.

    Null, empty and zero differ. How the rows lie in memory (slices, chunks) makes no difference.
    """
    digest = hashlib.blake2b(digest_size=20)
    for name, column in zip(table.column_names, table.combine_chunks().columns, strict=True):
        digest.update(name.encode())
        for chunk in column.chunks:
            for part in _parts(chunk):
                digest.update(part)
    return digest.digest()


def _parts(values: pa.Array) -> Iterator[bytes | memoryview]:
    """Yield bytes that identify `values`, independent of their offsets and of the bytes under nulls."""
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
    """Return the bytes of the loose file at `path` without its footer, which a row group has once for all rows."""
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        # A Parquet file ends with the length of its footer in four bytes, and the four bytes PAR1.
        file.seek(max(0, size - _TAIL_BYTES))
        footer = int.from_bytes(file.read(4), "little")
    return max(0, size - footer - _TAIL_BYTES)


def _connect(spill: Path) -> duckdb.DuckDBPyConnection:
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
    return connection


def _leaves() -> list[str]:
    """Return the paths of the schema's columns as Parquet names them."""
    out = pa.BufferOutputStream()
    pq.write_table(ATTEMPT_SCHEMA.empty_table(), out)
    parquet = pq.ParquetFile(pa.BufferReader(out.getvalue())).schema
    return [parquet.column(index).path for index in range(len(parquet))]
