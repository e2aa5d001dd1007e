"""A store opened for reading: questions in SQL, answers as relation, Arrow or pandas."""

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

from joulefleet.query.guard import Params, check_question, plain_errors
from joulefleet.query.spill import ScratchFolder, sweep
from joulefleet.query.user_tables import create_own_tables
from joulefleet.query.views import create_views, parquet_folders, point_views
from joulefleet.store.layout import STORE_VARIABLE, StoreLayout, default_store, read_format
from joulefleet.store.records import StudyRecord, read_studies
from joulefleet.store.remote import fetch, is_uri, remote
from joulefleet.store.scan import glob_safe, quoted
from joulefleet.store.snapshot import FileGone, Lookout, StoreFiles

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_BATCH_ROWS = 10_000
_Answer = TypeVar("_Answer")

_MOST_ASKED = 10
"""Compaction removes the files of a batch at once, so a second look is nearly always enough."""

MOST_FOOTERS = 1000
"""Footers of loose files are kept in memory up to so many: 280 kB each, and half a millisecond to read again."""

MOST_SPILLED = "10GB"
"""What one query may put on disk while it is computed."""


class Store:
    """A store, read through DuckDB in memory. Nothing is ever written to it.

    Questions are confined by the engine: no file outside the store, no extension, no setting.
    Close it when done, or use it as a context manager.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        *,
        layout: StoreLayout,
        store_id: str,
        studies: tuple[StudyRecord, ...],
        lookout: Lookout,
        files: StoreFiles,
        scratch: ScratchFolder,
        tables: tuple[str, ...],
    ) -> None:
        self.layout = layout
        self.store_id = store_id
        self.studies = studies
        """Every version of every study, oldest first."""
        self.tables = tables
        """The user's own tables, beside the views."""
        self._connection = connection
        self._lookout = lookout
        self._files: StoreFiles | None = files
        """What the views read; None: to be pointed anew."""
        self._held = False
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="joulefleet-query")
        self._working: Future[Any] | None = None
        self._remove_spill = weakref.finalize(self, scratch.remove)

    @classmethod
    def open(cls, path: str | Path | None = None, *, tables: Mapping[str, str | Path] | None = None) -> Self:
        """Open the store at `path`, by default `$JOULEFLEET_STORE`, else ./joulefleet-store.

        An address (`s3://…`) is that of a published store: a copy of it is made, and removed at the
        end. `tables` names files of your own (CSV, Parquet, JSON), which are read now and stand beside
        the views as tables of those names. Raises StoreError where there is no store, or one with a file
        that cannot be understood, and QueryError where one of `tables` will not do.
        """
        asked = path or os.environ.get(STORE_VARIABLE) or default_store()
        sweep()
        scratch = ScratchFolder.make()
        connection = _connect(scratch.path)
        try:
            layout = _local(asked, scratch.path)
            store_id = read_format(layout)
            studies = tuple(read_studies(layout))
            lookout = Lookout(layout)
            create_views(connection, studies)
            create_own_tables(connection, tables or {})
            _confine(connection, layout, footers_kept=len(lookout.look().loose) <= MOST_FOOTERS)
            files = _patiently(lambda: _pointed(connection, layout, lookout))
        except BaseException:
            connection.close()
            scratch.remove()
            raise
        return cls(
            connection,
            layout=layout,
            store_id=store_id,
            studies=studies,
            lookout=lookout,
            files=files,
            scratch=scratch,
            tables=tuple(tables or ()),
        )

    def sql(self, query: str, params: Params = None) -> duckdb.DuckDBPyRelation:
        """The answer as a DuckDB relation, computed when it is fetched. Raises QueryError.

        `params` fill `?` (a sequence) or `$name` (a mapping). Only `arrow`, `pandas` and `batches`
        can be interrupted, raise our own errors while they compute, and ask again where the store
        was compacted meanwhile: a relation ends in an error then, never in other rows.
        """
        return _patiently(lambda: self._asked(query, params))

    def arrow(self, query: str, params: Params = None) -> pa.Table:
        """The answer as an Arrow table. Ctrl-C interrupts. Raises QueryError."""
        return _patiently(lambda: self._interruptible(lambda: self._asked(query, params).to_arrow_table()))

    def pandas(self, query: str, params: Params = None) -> pd.DataFrame:
        """The answer as a pandas data frame. Ctrl-C interrupts. Raises QueryError."""
        frame: pd.DataFrame = self.arrow(query, params).to_pandas()
        return frame

    def batches(
        self, query: str, params: Params = None, *, rows: int | None = None
    ) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """The answer's columns, and its rows in batches as they are computed. Ctrl-C interrupts. Raises QueryError.

        `rows`: so many a batch, where rows are large. Raises StoreError where the store is compacted after the
        first batch was handed over.
        """

        def begin() -> tuple[pa.RecordBatchReader, list[pa.RecordBatch]]:
            reader = self._asked(query, params).to_arrow_reader(rows or _BATCH_ROWS)
            return reader, list(itertools.islice(reader, 1))

        reader, first = _patiently(lambda: self._interruptible(begin))

        def arriving() -> Iterator[pa.RecordBatch]:
            yield from first
            while True:
                try:
                    yield self._interruptible(reader.read_next_batch)
                except StopIteration:
                    return

        return reader.schema, arriving()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have all questions asked inside see the attempts of one moment.

        One that is compacted meanwhile is a StoreError, of the kind `FileGone`.
        """
        self._held, self._files = True, None
        try:
            yield
        finally:
            self._held = False

    def close(self) -> None:
        """Close the connection and remove what it spilled. Closing twice is harmless."""
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

    def _asked(self, query: str, params: Params) -> duckdb.DuckDBPyRelation:
        files = self._files if self._held and self._files else self._lookout.look()
        if files != self._files:
            self._files = None
            point_views(self._connection, self.layout, files)
            self._files = files
        check_question(self._connection, query, params)
        with plain_errors():
            return self._connection.sql(query, params=params)

    def _interruptible(self, work: Callable[[], _Answer]) -> _Answer:
        # DuckDB computes inside one C call, in which Python's handler of Ctrl-C never gets its turn. So
        # the work is done by a thread, and this one waits, where the handler does.
        with plain_errors():
            # Ours and kept before it is handed over: Ctrl-C may come while it is.
            self._working = future = Future[_Answer]()
            try:
                self._worker.submit(_carry_out, future, work)
                return future.result()
            except KeyboardInterrupt:
                self._stop()
                raise

    def _stop(self) -> None:
        """Interrupt what the thread computes, until it has stopped."""
        if self._working is None or self._working.cancel():
            return
        while not self._working.done():
            # Between two queries of one piece of work there is nothing to interrupt yet, so it is asked again.
            self._connection.interrupt()
            wait([self._working], timeout=0.05)


def _pointed(connection: duckdb.DuckDBPyConnection, layout: StoreLayout, lookout: Lookout) -> StoreFiles:
    files = lookout.look()
    point_views(connection, layout, files)
    return files


def _patiently(ask: Callable[[], _Answer]) -> _Answer:
    """What `ask` gives; asked anew where a file was compacted while it was read."""
    for _ in range(_MOST_ASKED - 1):
        try:
            return ask()
        except FileGone:
            continue
    return ask()


def _carry_out(future: Future[_Answer], work: Callable[[], _Answer]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001 - it is raised again where the result is asked for
        future.set_exception(error)


def _local(asked: str | Path, temporary: Path) -> StoreLayout:
    """The store that is `asked` for as a folder of this machine, a copy in `temporary` where it lies elsewhere."""
    if not isinstance(asked, str) or not is_uri(asked):
        # Absolute, so that a notebook may change its folder while the store is open.
        return StoreLayout(Path(asked).absolute())
    if asked.startswith("file://"):
        return StoreLayout(Path(remote(asked)[1]))
    layout = StoreLayout(temporary / "store")
    layout.root.mkdir()
    fetch(asked, layout.root)
    return layout


def _connect(scratch: Path) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            "allow_persistent_secrets": "false",
            # Otherwise a table's name that is misspelt could be a variable of the caller's.
            "python_enable_replacements": "false",
            "temp_directory": str(scratch),
            # A query that joins everything with everything ends in an error, not in a full disk.
            "max_temp_directory_size": MOST_SPILLED,
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _confine(connection: duckdb.DuckDBPyConnection, layout: StoreLayout, *, footers_kept: bool) -> None:
    """Shut off everything but the Parquet of `layout`, for good."""
    # The files never change once written, so their footers need reading once only.
    connection.execute(f"SET parquet_metadata_cache = {str(footers_kept).lower()}")
    folders = [str(folder) for folder in parquet_folders(layout)]
    # DuckDB compares a pattern with the folders as it stands, so the folders are named as in the patterns too.
    allowed = ", ".join(quoted(name) for folder in folders for name in dict.fromkeys((folder, glob_safe(folder))))
    connection.execute(f"SET allowed_directories = [{allowed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
