"""Which Parquet files of a store count at one moment, also while the store is being compacted.

A compaction writes a compacted file, then its manifest, and only then removes what they replace. So
the loose files are listed before the compacted ones: an attempt that has left the first list is in
the second.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from joulefleet.errors import StoreError
from joulefleet.store.layout import StoreLayout
from joulefleet.store.manifest import Manifest, not_replaced, read_manifest

_MOST_LISTINGS = 20
"""Listings after which a folder that still changes is an error: no compaction changes it so often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The Parquet files of a store that count at one moment, as paths."""

    loose: tuple[str, ...]
    compacted: tuple[str, ...]


class SnapshotReader:
    """Reads which files of one store count, as often as it is asked; files that never change are read once.

    Methods may be called in any order, from one thread at a time. Each raises StoreError that names
    the file or folder that is damaged, missing, or cannot be read.
    """

    def __init__(self, layout: StoreLayout) -> None:
        self._layout = layout
        self._manifests: dict[str, Manifest] = {}
        self._ids: dict[str, frozenset[str]] = {}
        self._ids_of_all: tuple[list[str], frozenset[str]] = [], frozenset()
        """Compacted files, and the ids of the attempts in them."""

    def read(self) -> Snapshot:
        """Return the files that count now. Each attempt is in one of them only."""
        layout = self._layout
        loose = parquet_names(layout.attempts)
        compacted = self._compacted(loose)
        return Snapshot(
            loose=_paths(layout.attempts, self._not_compacted(loose, compacted)),
            compacted=_paths(layout.compacted, compacted),
        )

    def manifests(self) -> tuple[list[Manifest], list[str]]:
        """Return the manifests that count, and the names of the compacted files that have no manifest."""
        for _ in range(_MOST_LISTINGS):
            before = manifests, files = self._names()
            try:
                counted = self._counted(manifests)
                faults = [fault for manifest in counted if (fault := self._fault(manifest, files))]
            except FileNotFoundError:
                continue  # it was merged with others meanwhile
            # A folder is not listed in one moment; two equal listings show that nothing changed between them.
            if self._names() == before:
                if faults:
                    raise faults[0]
                replaced = {file for manifest in self._manifests.values() for file in manifest.replaces}
                known = {manifest.file for manifest in counted} | replaced
                return counted, [name for name in files if name not in known]
        raise StoreError(
            f"{self._layout.manifest}: changed again and again while it was read.", cure="Run the same command again."
        )

    def attempt_ids(self, name: str) -> frozenset[str]:
        """Return the ids of the attempts in the compacted file `name`."""
        if name not in self._ids:
            path = self._layout.compacted / name
            try:
                column = pq.ParquetFile(path).read(columns=["attempt_id"]).column(0)
            except (pa.ArrowException, OSError, IndexError) as error:
                raise file_error(path, "torn, or no file of this store") from error
            self._ids[name] = frozenset(column.to_pylist())
        return self._ids[name]

    def _compacted(self, loose: list[str]) -> list[str]:
        counted, unlisted = self.manifests()
        files = [manifest.file for manifest in counted]
        if unlisted:
            # Left by a compaction that died before it wrote the manifest, or the manifest was lost. Such a
            # file counts if it holds an attempt that no other file holds.
            held = {attempt for manifest in counted for attempt in manifest.attempts}
            elsewhere = held | {name.removesuffix(".parquet") for name in loose}
            for name in unlisted:
                if self.attempt_ids(name) <= elsewhere:
                    continue
                check_disjoint(self._layout.compacted / name, self.attempt_ids(name) & held)
                files.append(name)
                held |= self.attempt_ids(name)
                elsewhere |= self.attempt_ids(name)
        return files

    def _not_compacted(self, loose: list[str], compacted: list[str]) -> list[str]:
        """Return those of the `loose` files whose attempts are in none of the files `compacted`.

        The names of the loose files decide, so that no query has to compare the ids of all attempts.
        """
        if not loose or not compacted:
            return loose
        if self._ids_of_all[0] != compacted:
            recorded = {manifest.file: manifest.attempts for manifest in self._manifests.values()}
            ids = (recorded.get(name) or self.attempt_ids(name) for name in compacted)
            self._ids_of_all = compacted, frozenset(itertools.chain.from_iterable(ids))
        held = self._ids_of_all[1]
        return [name for name in loose if name.removesuffix(".parquet") not in held]

    def _names(self) -> tuple[list[str], list[str]]:
        return names_in(self._layout.manifest, ".json"), parquet_names(self._layout.compacted)

    def _counted(self, manifests: list[str]) -> list[Manifest]:
        self._manifests = {
            name: self._manifests.get(name) or read_manifest(self._layout.manifest / name) for name in manifests
        }
        return not_replaced(self._manifests.values())

    def _fault(self, manifest: Manifest, files: list[str]) -> StoreError | None:
        path = self._layout.compacted / manifest.file
        size = path.stat().st_size if manifest.file in files else None
        if size == manifest.size_bytes:
            return None
        what = "missing" if size is None else f"torn ({size} of {manifest.size_bytes} bytes)"
        return StoreError(
            f"{path}: {what}; it held {len(manifest.attempts)} attempts.",
            cure="Restore it from a copy, or from where it was published.",
        )


class FileGone(StoreError):
    """A file of a snapshot does not exist any more: it was compacted or merged meanwhile."""


def file_gone(path: str) -> FileGone:
    """Return the error for the file at `path`, which does not exist any more."""
    return FileGone(f"{path}: was compacted while it was read.", cure="Run the same query again.")


def check_disjoint(path: Path, shared: frozenset[str]) -> None:
    """Raise StoreError where the compacted file at `path`, which has no manifest, shares attempts with others."""
    if shared:
        raise file_error(path, f"holds attempts that other compacted files hold as well ({min(shared)})")


def parquet_names(folder: Path) -> list[str]:
    """Return the sorted names of the Parquet files in `folder`; none where there is no folder. Raises StoreError."""
    return names_in(folder, ".parquet")


def names_in(folder: Path, ending: str) -> list[str]:
    """Return the sorted names in `folder` with this `ending`, without hidden ones. Raises StoreError."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror}.", cure="Check the rights of the store.") from error
    return sorted(name for name in names if name.endswith(ending) and not name.startswith("."))


def file_error(path: Path | str, what: str) -> StoreError:
    """Return the error that says `what` is wrong with the file at `path`."""
    return StoreError(f"{path}: {what}.", cure="Move it out of the store, or restore it from a copy.")


def _paths(folder: Path, names: list[str]) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in names)
