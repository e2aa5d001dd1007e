"""Joulefleet measures what NLP models cost to run, and says with honest statistics what is cheaper.

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

    `tables` names files of your own (CSV, Parquet, JSON), which become tables beside the views. Raises
    StoreError where there is no store, or one of a layout this version does not know, and QueryError
    where one of `tables` will not do.
    """
    # Imported here so that `import joulefleet` stays light.
    from joulefleet.query import Store

    return Store.open(store, tables=tables)
