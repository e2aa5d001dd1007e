"""Compaction: put many attempts into one file, so that a store of thousands is read fast.

A compacted file is written, read back and compared. Its manifest makes it count, and only then are the
files removed that it replaces. So every attempt counts once whenever the process dies, and the next
compaction finishes what this one has left. The caller holds the store's lock.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from joulefleet.durable import rename_durably, sync_folder, temporary_file, write_durably
from joulefleet.errors import StoreError
from joulefleet.store.layout import StoreLayout
from joulefleet.store.manifest import Manifest, manifest_bytes, manifest_name
from joulefleet.store.row_groups import compacted_groups, loose_groups, read_groups, rows_digest, write_groups
from joulefleet.store.snapshot import SnapshotReader, check_disjoint, file_error, parquet_names

FILE_ROWS = 8192
"""Most attempts of one compacted file, some 30 MB. A compaction that dies loses the work for one file at most."""

MANY_SMALL = 8
"""Number of files with less than half of FILE_ROWS at which they are merged. A row is written two or three times."""

_OWN_NAME = re.compile(r"[0-9a-f]{20}\.parquet")
_TEMPORARY = re.compile(r"\..+\.(parquet|json)\.\d+\.tmp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of a compaction, import, export or publication."""

    what: str
    """Name of the step, such as "written"."""
    done: int
    """Attempts, views or bytes done so far."""
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """Result of a compaction."""

    attempts: int
    """Attempts that were loose before and are compacted now."""
    files: int
    """Compacted files that were written."""
    merged: int
    """Small compacted files that were merged into larger ones."""


def compact(
    layout: StoreLayout, *, at_least: int = 1, on_step: Callable[[Step], None] = lambda step: None
) -> Compacted:
    """Compact the store at `layout`, whose lock the caller holds, if it has at least `at_least` loose attempts.

    Always finishes first what an earlier compaction left undone. `on_step` is called with each step.
    Raises StoreError. Nothing is lost then: a file is removed only after its rows were read back from the
    file that replaces it.
    """
    try:
        return _Compaction(layout, on_step).run(max(at_least, 1))
    except OSError as error:
        raise StoreError(
            f"{layout.root}: cannot be compacted ({error.strerror or error}).",
            cure="No attempt was lost or moved. Make room, or check the rights, and run `joulefleet compact` again.",
        ) from error


class _Compaction:
    def __init__(self, layout: StoreLayout, on_step: Callable[[Step], None]) -> None:
        self._layout = layout
        self._on_step = on_step
        self._spill = layout.root / ".compaction"
        self._files = 0

    def run(self, at_least: int) -> Compacted:
        layout = self._layout
        for folder in (layout.compacted, layout.manifest):
            folder.mkdir(exist_ok=True)
        self._sweep()
        try:
            self._finish_earlier()
            loose = parquet_names(layout.attempts)
            compacted = loose if len(loose) >= at_least else []
            for start in range(0, len(compacted), FILE_ROWS):
                self._compact(compacted[start : start + FILE_ROWS], start, len(compacted))
            return Compacted(attempts=len(compacted), merged=self._merge(), files=self._files)
        finally:
            shutil.rmtree(self._spill, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove the temporary files of processes that died. None is in use: only the holder of the lock writes."""
        shutil.rmtree(self._spill, ignore_errors=True)
        for folder in (self._layout.attempts, self._layout.compacted, self._layout.manifest):
            for path in folder.iterdir():
                if _TEMPORARY.fullmatch(path.name):
                    path.unlink()

    def _finish_earlier(self) -> None:
        """Write the manifests that an earlier compaction did not write, and remove the files it did not remove."""
        reader = SnapshotReader(self._layout)
        manifests, unlisted = reader.manifests()
        held = {attempt for manifest in manifests for attempt in manifest.attempts}
        for name in unlisted:
            path = self._layout.compacted / name
            sha256 = _sha256(path)
            by_compaction = _OWN_NAME.fullmatch(name) is not None
            if by_compaction and not sha256.startswith(path.stem):
                raise file_error(path, "torn")
            if reader.attempt_ids(name) <= held:
                if by_compaction:
                    path.unlink()  # it has no manifest yet, so the files that it was merged from still count
                continue
            check_disjoint(path, reader.attempt_ids(name) & held)
            ids = [attempt for group in read_groups(path) for attempt in group.column("attempt_id").to_pylist()]
            self._remove_loose(path, ids, check_only=True)
            manifests.append(self._record(path, sha256, ids, ()))
            held.update(ids)
        for manifest in manifests:
            self._remove_merged(manifest.replaces)
            self._remove_loose(self._layout.compacted / manifest.file, manifest.attempts)

    def _compact(self, names: Sequence[str], done: int, total: int) -> None:
        groups = self._with_steps(loose_groups(self._layout, names, self._spill), done, total)
        self._write(groups, [name.removesuffix(".parquet") for name in names], ())
        self._remove(self._layout.attempts, names)

    def _merge(self) -> int:
        """Merge small files where there are many. Returns how many were merged."""
        manifests, _ = SnapshotReader(self._layout).manifests()
        small = [manifest for manifest in manifests if len(manifest.attempts) < FILE_ROWS // 2]
        if len(small) < MANY_SMALL:
            return 0
        merged = 0
        while len(small) > 1:
            part = [small.pop()]
            while small and sum(len(manifest.attempts) for manifest in (*part, small[-1])) <= FILE_ROWS:
                part.append(small.pop())
            ids = [attempt for manifest in part for attempt in manifest.attempts]
            older = (file for manifest in part for file in manifest.replaces)
            replaced = [manifest.file for manifest in part]
            groups = compacted_groups(self._layout.compacted / file for file in replaced)
            self._write(self._with_steps(groups, 0, len(ids)), ids, (*replaced, *older))
            self._remove_merged(replaced)
            merged += len(part)
        return merged

    def _write(self, groups: Iterable[pa.Table], ids: Sequence[str], replaces: Sequence[str]) -> None:
        """Write `groups`, the rows of the attempts `ids`, durably into a compacted file, then its manifest."""
        folder = self._layout.compacted
        with temporary_file(folder / "part.parquet") as temporary:
            with temporary.open("wb") as out:
                written, digests = write_groups(out, groups)
            self._check_ids(written, ids)
            self._on_step(Step(what="written", done=len(ids), total=len(ids)))
            if [rows_digest(group) for group in read_groups(temporary)] != digests:
                raise StoreError(
                    f"{folder}: the compacted file differs when it is read back.",
                    cure="No attempt was lost or moved. Check this machine's disk and memory.",
                )
            sha256 = _sha256(temporary)
            path = folder / f"{sha256[:20]}.parquet"
            rename_durably(temporary, path)
        self._on_step(Step(what="checked", done=len(ids), total=len(ids)))
        self._record(path, sha256, ids, replaces)
        self._files += 1

    def _record(self, path: Path, sha256: str, ids: Sequence[str], replaces: Sequence[str]) -> Manifest:
        manifest = Manifest(
            file=path.name,
            size_bytes=path.stat().st_size,
            sha256=sha256,
            attempts=tuple(ids),
            replaces=tuple(replaces),
        )
        write_durably(self._layout.manifest / manifest.name, manifest_bytes(manifest))
        self._on_step(Step(what="recorded", done=len(ids), total=len(ids)))
        return manifest

    def _check_ids(self, written: Sequence[str], expected: Sequence[str]) -> None:
        """Raise StoreError where a loose file holds no row, or several."""
        if list(written) == list(expected):
            return
        rows = {attempt: written.count(attempt) for attempt in {*expected, *written}}
        odd = min(attempt for attempt, count in rows.items() if count != 1)
        raise file_error(self._layout.attempts / f"{odd}.parquet", f"holds {rows[odd]} attempts instead of one")

    def _remove_loose(self, path: Path, ids: Iterable[str], *, check_only: bool = False) -> None:
        """Remove the loose files of the attempts `ids` once they equal their rows in the compacted file at `path`."""
        left = set(ids) & {name.removesuffix(".parquet") for name in parquet_names(self._layout.attempts)}
        if not left:
            return
        for group in read_groups(path):
            rows = group.filter(pc.is_in(group.column("attempt_id"), pa.array(sorted(left), pa.string())))
            names = [f"{attempt}.parquet" for attempt in rows.column("attempt_id").to_pylist()]
            loose = list(loose_groups(self._layout, names, self._spill))
            if loose:
                self._check_same(path, rows, pa.concat_tables(loose))
            if not check_only:
                self._remove(self._layout.attempts, names)

    def _check_same(self, path: Path, rows: pa.Table, loose: pa.Table) -> None:
        if rows_digest(rows) == rows_digest(loose):
            return
        for row in range(rows.num_rows):
            if rows_digest(rows.slice(row, 1)) != rows_digest(loose.slice(row, 1)):
                file = self._layout.attempts / f"{rows.column('attempt_id')[row]}.parquet"
                raise file_error(file, f"differs from the same attempt in {path}")

    def _remove_merged(self, files: Iterable[str]) -> None:
        for file in files:
            self._remove(self._layout.compacted, [file])
            self._remove(self._layout.manifest, [manifest_name(file)])

    def _remove(self, folder: Path, names: Sequence[str]) -> None:
        for number, name in enumerate(names):
            self._on_step(Step(what="removing", done=number, total=len(names)))
            (folder / name).unlink(missing_ok=True)
        sync_folder(folder)

    def _with_steps(self, groups: Iterable[pa.Table], done: int, total: int) -> Iterator[pa.Table]:
        for group in groups:
            self._on_step(Step(what="compacting", done=done, total=total))
            yield group
            done += group.num_rows


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
