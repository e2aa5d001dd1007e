"""Finished attempts wait here, one Parquet file each, until the coordinator has them in the store."""

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
    """One attempt's row as a Parquet file."""
    return _written(arrow_table(row))


def arrow_table(row: Mapping[str, Any]) -> pa.Table:
    """One attempt's row as an Arrow table."""
    # Arrow is 45 MB: not while a window is open.
    from joulefleet.schema import attempt_table

    _keep_pandas_out()
    return attempt_table(row)


def _written(table: pa.Table) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pool = pa.default_memory_pool()
    # The default pool keeps some ten megabytes more than one small table ever needs.
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd", write_statistics=False, use_dictionary=False)
        return buffer.getvalue()
    finally:
        pa.set_memory_pool(pool)


def _keep_pandas_out() -> None:
    """Let Arrow find that there is no pandas: it looks for it at its first conversion.

    Where it finds it, pandas is 57 MB and a third of a second, of which an agent has no use.
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
    """While it is asked first, there is no pandas."""

    @classmethod
    def find_spec(cls, fullname: str, path: object = None, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname, name=fullname)


class Outbox:
    """The files of one store on one machine."""

    def __init__(self, folder: Path, store_id: str) -> None:
        self._folder = folder / store_id

    def put(self, attempt_id: str, table: pa.Table) -> bytes:
        """Make the attempt durable; its file's bytes. Only after this may it be reported. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        data = _written(table)
        write_durably(self._folder / f"{attempt_id}.parquet", data)
        return data

    def waiting(self) -> list[str]:
        """The ids of the attempts not yet acknowledged."""
        return sorted(path.stem for path in self._folder.glob("*.parquet")) if self._folder.exists() else []

    def get(self, attempt_id: str) -> bytes:
        """The attempt's file."""
        return (self._folder / f"{attempt_id}.parquet").read_bytes()

    def acknowledge(self, attempt_id: str) -> None:
        """The store has it: let it go."""
        (self._folder / f"{attempt_id}.parquet").unlink(missing_ok=True)
        sync_folder(self._folder)
