"""The versions of everything that outlives a process: rows, protocols, layouts, manifests."""

from __future__ import annotations

SCHEMA_VERSION = 4
"""Version of a row's columns (`joulefleet.schema`). Raise it when a column is added, renamed or changes meaning."""

PROTOCOL_VERSION = 2
"""Version of how a trial is measured. Raise it when that changes; trials of two versions are never mixed."""

LAYOUT_VERSION = 1
"""Version of the layout of a store's files. Raise it when files change folder or name."""

MANIFEST_VERSION = 1
"""Version of a manifest's content. Raise it when a manifest's keys change."""
