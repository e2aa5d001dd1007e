"""Joulefleet measures what NLP models cost to run, and compares them with honest statistics.

In a notebook: `joulefleet.open("joulefleet-store")` opens a store for reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from joulefleet.query import Store

__all__ = ["__version__", "open"]
__version__ = "0.1.0"


def open(store: str | Path | None = None, *, tables: Mapping[str, str | Path] | None = None) -> Store:
    """Open `store` (by default `$JOULEFLEET_STORE`, else ./joulefleet-store) for reading.

    `tables` are files of your own (CSV, Parquet, JSON) by the name under which a query finds them. Raises
    StoreError where there is no store or its layout is of another version, and QueryError where one of
    `tables` cannot be read or named so.
    """
    # Imported here so that `import joulefleet` stays light.
    from joulefleet.query import Store

    return Store.open(store, tables=tables)
