"""Which files of a store count at one moment, seen so that no attempt is missed while it is compacted.

Compaction makes a compacted file, then its manifest, and only then removes what they replace. So
the loose files are listed before the compacted ones: an attempt that is no longer in the first
list is surely in the second.
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
from joulefleet.store.manifest import Manifest, live, read_manifest

_LOOKS = 20
"""A folder that changes so often while it is listed is not being compacted: something else is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFiles:
    """The Parquet files of a store that count, as paths."""

    loose: tuple[str, ...]
    compacted: tuple[str, ...]
    verdicts: tuple[str, ...]


class Lookout:
    """Looks at a store's folders, again and again; what never changes is read once."""

    def __init__(self, layout: StoreLayout) -> None:
        self._layout = layout
        self._manifests: dict[str, Manifest] = {}
        self._ids: dict[str, frozenset[str]] = {}
        self._held: tuple[list[str], frozenset[str]] = [], frozenset()

    def look(self) -> StoreFiles:
        """The files that count now. Raises StoreError that names one which is damaged or missing."""
        layout = self._layout
        verdicts = parquet_names(layout.verdicts)
        loose = parquet_names(layout.attempts)
        compacted = self._compacted(loose)
        return StoreFiles(
            loose=_paths(layout.attempts, self._only_loose(loose, compacted)),
            compacted=_paths(layout.compacted, compacted),
            verdicts=_paths(layout.verdicts, verdicts),
        )

    def manifests(self) -> tuple[list[Manifest], list[str]]:
        """The manifests that count, and the compacted files without any, as names. Raises StoreError."""
        for _ in range(_LOOKS):
            before = manifests, files = self._names()
            try:
                counted = self._counted(manifests)
                faults = [fault for manifest in counted if (fault := self._fault(manifest, files))]
            except FileNotFoundError:
                continue  # it was merged with others meanwhile
            # A folder is not listed in one moment: only what is the same twice was so.
            if self._names() == before:
                if faults:
                    raise faults[0]
                replaced = {file for manifest in self._manifests.values() for file in manifest.replaces}
                known = {manifest.file for manifest in counted} | replaced
                return counted, [name for name in files if name not in known]
        raise StoreError(f"{self._layout.manifest}: changes all the time.", cure="Ask again.")

    def ids(self, name: str) -> frozenset[str]:
        """The ids of the attempts in the compacted file `name`. Raises StoreError where it cannot be read."""
        if name not in self._ids:
            path = self._layout.compacted / name
            try:
                column = pq.ParquetFile(path).read(columns=["attempt_id"]).column(0)
            except (pa.ArrowException, OSError, IndexError) as error:
                raise file_error(path, "torn, or no file of this store") from error
            self._ids[name] = frozenset(column.to_pylist())
        return self._ids[name]

    def _compacted(self, loose: list[str]) -> list[str]:
        counted, strays = self.manifests()
        files = [manifest.file for manifest in counted]
        if strays:
            # A compaction that died before it wrote the manifest, or a manifest that was lost: it counts
            # if it holds what nothing else does.
            held = {attempt for manifest in counted for attempt in manifest.attempts}
            elsewhere = held | {name.removesuffix(".parquet") for name in loose}
            for name in strays:
                if self.ids(name) <= elsewhere:
                    continue
                check_apart(self._layout.compacted / name, self.ids(name) & held)
                files.append(name)
                held |= self.ids(name)
                elsewhere |= self.ids(name)
        return files

    def _only_loose(self, loose: list[str], compacted: list[str]) -> list[str]:
        """Those of the `loose` files whose attempts are in none of the files `compacted`: each attempt counts once.

        Known by their names, so that no query has to compare the ids of all attempts.
        """
        if not loose or not compacted:
            return loose
        if self._held[0] != compacted:
            recorded = {manifest.file: manifest.attempts for manifest in self._manifests.values()}
            ids = (recorded.get(name) or self.ids(name) for name in compacted)
            self._held = compacted, frozenset(itertools.chain.from_iterable(ids))
        held = self._held[1]
        return [name for name in loose if name.removesuffix(".parquet") not in held]

    def _names(self) -> tuple[list[str], list[str]]:
        return names_in(self._layout.manifest, ".json"), parquet_names(self._layout.compacted)

    def _counted(self, manifests: list[str]) -> list[Manifest]:
        self._manifests = {
            name: self._manifests.get(name) or read_manifest(self._layout.manifest / name) for name in manifests
        }
        return live(self._manifests.values())

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
    """A file was there when the store was looked at, and is no more: it was compacted or merged meanwhile."""


def file_gone(path: str) -> FileGone:
    """The error that names the file at `path`, which is no more."""
    return FileGone(f"{path}: was compacted while it was read.", cure="Ask again.")


def check_apart(path: Path, shared: frozenset[str]) -> None:
    """Raise StoreError where the stray compacted file at `path` shares attempts with others that count."""
    if shared:
        raise file_error(path, f"holds attempts that other compacted files hold as well ({min(shared)})")


def parquet_names(folder: Path) -> list[str]:
    """The names of the Parquet files in `folder`, sorted; none where there is no folder. Raises StoreError."""
    return names_in(folder, ".parquet")


def names_in(folder: Path, ending: str) -> list[str]:
    """The names in `folder` with this `ending`, sorted, hidden ones left out. Raises StoreError."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror}.", cure="Check the rights of the store.") from error
    return sorted(name for name in names if name.endswith(ending) and not name.startswith("."))


def file_error(path: Path | str, what: str) -> StoreError:
    """The error that names the file at `path`."""
    if "newer" in what:
        return StoreError(f"{path}: {what}.", cure="Install a newer Joulefleet.")
    return StoreError(f"{path}: {what}.", cure="Move it out of the store, or restore it from a copy.")


def _paths(folder: Path, names: list[str]) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in names)
