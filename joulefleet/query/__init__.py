"""SQL over the files of a store."""

from __future__ import annotations

from joulefleet.query.store import Store

__all__ = ["Store"]
