"""The outbox: finished attempts, one Parquet file each, that the store does not hold yet."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joulefleet.durable import sync_folder, write_durably

if TYPE_CHECKING:
    import pyarrow as pa


def parquet_bytes(row: Mapping[str, Any]) -> bytes:
    """Return one attempt's row as a Parquet file."""
    return _parquet(arrow_table(row))


def arrow_table(row: Mapping[str, Any]) -> pa.Table:
    """Return one attempt's row as an Arrow table."""
    # Arrow needs 45 MB of memory: not while a window is open.
    from joulefleet.schema import attempt_table

    _keep_pandas_out()
    return attempt_table(row)


def _parquet(table: pa.Table) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pool = pa.default_memory_pool()
    # Arrow's default pool would keep some ten megabytes that one small table does not need.
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd", write_statistics=False, use_dictionary=False)
        return buffer.getvalue()
    finally:
        pa.set_memory_pool(pool)


def _keep_pandas_out() -> None:
    """Prevent Arrow from importing pandas at its first conversion.

    The import would cost an agent 57 MB of memory and a third of a second.
    """
    import pyarrow as pa

    if "pandas" in sys.modules:
        return
    sys.meta_path.insert(0, _NoPandas)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(_NoPandas)


class _NoPandas(MetaPathFinder):
    """Import finder that hides pandas."""

    @classmethod
    def find_spec(cls, fullname: str, path: object = None, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname, name=fullname)


class Outbox:
    """The finished attempts of one store on one machine.

    `AgentService` owns it: it calls `put` for each attempt, and reports the attempt only afterwards; `get` as
    often as the coordinator fetches it; and `acknowledge` once the store holds it. A file is complete or not
    there, whatever process or machine dies. All methods may raise OSError.
    """

    def __init__(self, folder: Path, store_id: str) -> None:
        self._folder = folder / store_id

    def put(self, attempt_id: str, table: pa.Table) -> bytes:
        """Store the attempt durably, and return the bytes of its file. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        data = _parquet(table)
        write_durably(self._folder / f"{attempt_id}.parquet", data)
        return data

    def waiting(self) -> list[str]:
        """Return the ids of the attempts that are not acknowledged yet."""
        return sorted(path.stem for path in self._folder.glob("*.parquet")) if self._folder.exists() else []

    def get(self, attempt_id: str) -> bytes:
        """Return the bytes of the attempt's file. Raises OSError."""
        return (self._folder / f"{attempt_id}.parquet").read_bytes()

    def acknowledge(self, attempt_id: str) -> None:
        """Remove the attempt, which the store holds now. Raises OSError."""
        (self._folder / f"{attempt_id}.parquet").unlink(missing_ok=True)
        sync_folder(self._folder)
