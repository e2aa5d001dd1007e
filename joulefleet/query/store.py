"""A store opened for reading: queries in SQL, results as DuckDB relation, Arrow table or pandas data frame."""

from __future__ import annotations

import itertools
import os
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import duckdb

from joulefleet.query.guard import Params, check_query, plain_errors
from joulefleet.query.spill import SpillFolder, sweep
from joulefleet.query.user_tables import create_user_tables
from joulefleet.query.views import create_views, point_views
from joulefleet.store.layout import STORE_VARIABLE, StoreLayout, default_store, read_format
from joulefleet.store.records import StudyRecord, read_studies
from joulefleet.store.remote import fetch, is_uri, remote
from joulefleet.store.scan import glob_safe, quoted
from joulefleet.store.snapshot import FileGone, Snapshot, SnapshotReader

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_BATCH_ROWS = 10_000
_Result = TypeVar("_Result")

_MOST_TRIES = 10
"""Number of times a query runs where files are compacted meanwhile. The second time nearly always succeeds."""

MOST_FOOTERS = 1000
"""Number of loose files up to which their footers stay in memory: 280 kB each, and 0.5 ms to read again."""

MOST_SPILLED = "10GB"
"""Most disk space that one query may use while it runs."""


class Store:
    """A store opened for reading, through DuckDB in memory. It writes nothing to the store.

    `Store.open` makes one. Whoever opened it closes it, or uses it as a context manager; it may be used
    from one thread at a time. Between the two, the query methods may be called in any order. Each sees the
    attempts that the store holds when it is called, also while a study runs or the store is compacted;
    inside `pinned`, all see the attempts of one moment.

    DuckDB itself restricts queries: they read no file outside the store, load no extension and change no
    setting. A query that is wrong raises QueryError, a file that is damaged or of another schema version
    StoreError.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        *,
        layout: StoreLayout,
        store_id: str,
        studies: tuple[StudyRecord, ...],
        reader: SnapshotReader,
        snapshot: Snapshot,
        spill: SpillFolder,
        tables: tuple[str, ...],
    ) -> None:
        self.layout = layout
        self.store_id = store_id
        self.studies = studies
        """Every version of every study, oldest first."""
        self.tables = tables
        """Names of the user's own tables."""
        self._connection = connection
        self._reader = reader
        self._snapshot: Snapshot | None = snapshot
        """Files that the views read; None where that is unknown."""
        self._pinned = False
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="joulefleet-query")
        self._working: Future[Any] | None = None
        self._remove_spill = weakref.finalize(self, spill.remove)

    @classmethod
    def open(cls, path: str | Path | None = None, *, tables: Mapping[str, str | Path] | None = None) -> Self:
        """Open the store at `path`, by default `$JOULEFLEET_STORE`, else ./joulefleet-store.

        An address (`s3://…`) is that of a published store, which is copied, and the copy removed by
        `close`. `tables` are files of your own (CSV, Parquet, JSON) by the names of the tables into which
        they are read now. Raises StoreError where there is no store, or a file in it is damaged, and
        QueryError where one of `tables` cannot be read.
        """
        requested = path or os.environ.get(STORE_VARIABLE) or default_store()
        sweep()
        spill = SpillFolder.make()
        connection = _connect(spill.path)
        try:
            layout = _local(requested, spill.path)
            store_id = read_format(layout)
            studies = tuple(read_studies(layout))
            reader = SnapshotReader(layout)
            create_views(connection, studies)
            create_user_tables(connection, tables or {})
            _restrict(connection, layout, footers_kept=len(reader.read().loose) <= MOST_FOOTERS)
            snapshot = _retried(lambda: _point_views(connection, reader))
        except BaseException:
            connection.close()
            spill.remove()
            raise
        return cls(
            connection,
            layout=layout,
            store_id=store_id,
            studies=studies,
            reader=reader,
            snapshot=snapshot,
            spill=spill,
            tables=tuple(tables or ()),
        )

    def sql(self, query: str, params: Params = None) -> duckdb.DuckDBPyRelation:
        """Return the result as a DuckDB relation, which is computed when it is fetched. Raises QueryError.

        `params` fill `?` (a sequence) or `$name` (a mapping). Unlike `arrow`, `pandas` and `batches`, a
        relation cannot be interrupted, raises DuckDB's errors while it is fetched, and does not try again
        where the store is compacted meanwhile: then it ends in an error, never in wrong rows.
        """
        return _retried(lambda: self._relation(query, params))

    def arrow(self, query: str, params: Params = None) -> pa.Table:
        """Return the result as an Arrow table. Ctrl-C interrupts. Raises QueryError."""
        return _retried(lambda: self._interruptible(lambda: self._relation(query, params).to_arrow_table()))

    def pandas(self, query: str, params: Params = None) -> pd.DataFrame:
        """Return the result as a pandas data frame. Ctrl-C interrupts. Raises QueryError."""
        frame: pd.DataFrame = self.arrow(query, params).to_pandas()
        return frame

    def batches(
        self, query: str, params: Params = None, *, rows: int | None = None
    ) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """Return the schema of the result, and its rows in batches as they are computed. Ctrl-C interrupts.

        `rows` is the number of rows in a batch, 10,000 by default. Raises QueryError, and StoreError where
        the store is compacted after the first batch was returned.
        """

        def begin() -> tuple[pa.RecordBatchReader, list[pa.RecordBatch]]:
            reader = self._relation(query, params).to_arrow_reader(rows or _BATCH_ROWS)
            return reader, list(itertools.islice(reader, 1))

        reader, first = _retried(lambda: self._interruptible(begin))

        def arriving() -> Iterator[pa.RecordBatch]:
            yield from first
            while True:
                try:
                    yield self._interruptible(reader.read_next_batch)
                except StopIteration:
                    return

        return reader.schema, arriving()

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """Make all queries inside the block see the attempts of one moment, that of the first query.

        They raise FileGone where one of its files is compacted meanwhile.
        """
        self._pinned, self._snapshot = True, None
        try:
            yield
        finally:
            self._pinned = False

    def close(self) -> None:
        """Stop the running query and remove temporary files. A second call does nothing."""
        self._stop()
        self._worker.shutdown()
        self._connection.close()
        self._remove_spill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _relation(self, query: str, params: Params) -> duckdb.DuckDBPyRelation:
        snapshot = self._snapshot if self._pinned and self._snapshot else self._reader.read()
        if snapshot != self._snapshot:
            self._snapshot = None
            point_views(self._connection, snapshot)
            self._snapshot = snapshot
        check_query(self._connection, query, params)
        with plain_errors():
            return self._connection.sql(query, params=params)

    def _interruptible(self, work: Callable[[], _Result]) -> _Result:
        # DuckDB computes inside one C call, during which Python cannot handle Ctrl-C. So another thread
        # does the work, and this one waits for it and handles Ctrl-C.
        with plain_errors():
            # The future is stored before it is submitted, as Ctrl-C may come during the submission.
            self._working = future = Future[_Result]()
            try:
                self._worker.submit(_run, future, work)
                return future.result()
            except KeyboardInterrupt:
                self._stop()
                raise

    def _stop(self) -> None:
        """Interrupt the query of the worker thread until it has stopped."""
        if self._working is None or self._working.cancel():
            return
        while not self._working.done():
            # Between two queries of one piece of work there is nothing to interrupt, so it is repeated.
            self._connection.interrupt()
            wait([self._working], timeout=0.05)


def _point_views(connection: duckdb.DuckDBPyConnection, reader: SnapshotReader) -> Snapshot:
    snapshot = reader.read()
    point_views(connection, snapshot)
    return snapshot


def _retried(query: Callable[[], _Result]) -> _Result:
    """Return the result of `query`, which runs again where a file was compacted while it was read."""
    for _ in range(_MOST_TRIES - 1):
        try:
            return query()
        except FileGone:
            continue
    return query()


def _run(future: Future[_Result], work: Callable[[], _Result]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001 - future.result() raises it again
        future.set_exception(error)


def _local(store: str | Path, temporary: Path) -> StoreLayout:
    """Return the layout of `store` on this machine: of a copy in `temporary` where it is an address."""
    if not isinstance(store, str) or not is_uri(store):
        # Absolute, so that a notebook may change its working folder while the store is open.
        return StoreLayout(Path(store).absolute())
    if store.startswith("file://"):
        return StoreLayout(Path(remote(store)[1]))
    layout = StoreLayout(temporary / "store")
    layout.root.mkdir()
    fetch(store, layout.root)
    return layout


def _connect(spill: Path) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            "allow_persistent_secrets": "false",
            # Otherwise a misspelt name of a table could be taken for a variable of the caller.
            "python_enable_replacements": "false",
            "temp_directory": str(spill),
            # A join that is far too large ends in an error, not in a full disk.
            "max_temp_directory_size": MOST_SPILLED,
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _restrict(connection: duckdb.DuckDBPyConnection, layout: StoreLayout, *, footers_kept: bool) -> None:
    """Forbid `connection` for good to read anything but the Parquet files of `layout`."""
    # The files never change, so each footer has to be read only once.
    connection.execute(f"SET parquet_metadata_cache = {str(footers_kept).lower()}")
    folders = [str(layout.attempts), str(layout.compacted)]
    # DuckDB compares the text of a pattern with the folders, so they are named as in the patterns too.
    allowed = ", ".join(quoted(name) for folder in folders for name in dict.fromkeys((folder, glob_safe(folder))))
    connection.execute(f"SET allowed_directories = [{allowed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
