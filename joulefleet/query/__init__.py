"""Reading a store: SQL over its files, and what the numbers say."""

from __future__ import annotations

from joulefleet.query.store import Store

__all__ = ["Store"]
