"""An imported package into a store: all of it at one moment, or nothing.

First the study's record, which says what was planned and has no rows yet; then one compacted file
with every row, from whose renaming on all of them count; then its manifest. Whoever dies in between
leaves a store without any row of the import, or with all; the same import done again completes it.
The caller holds the store's lock.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

import joulefleet
from coordinator.importing.model import Package
from coordinator.importing.rows import import_rows
from coordinator.store.writer import StoreWriter
from joulefleet.durable import sync_folder, write_durably
from joulefleet.errors import StoreError
from joulefleet.schema import attempt_table
from joulefleet.store.compaction import Step
from joulefleet.store.layout import StoreLayout
from joulefleet.store.manifest import Manifest, manifest_bytes
from joulefleet.store.row_groups import GROUP_ROWS, read_groups, rows_digest, write_groups

Tell = Callable[[Step], None]


def place(writer: StoreWriter, package: Package, record: Mapping[str, Any], *, tell: Tell = lambda step: None) -> int:
    """Put `package` into the store of `writer` as the study of `record`; how many runs were added.

    None were where the store has them all already. Raises StoreError where another study has the
    name, or other data of this one, and then changes nothing.
    """
    study = str(record["study"]["name"])
    rows = {row["attempt_id"]: row for row in import_rows(study, package)}
    before = writer.last_record(study)
    held = _held(writer.layout, study)
    _check_name(study, package.tool, before, measured=None in held.values())
    same = not before or before["imported"].get("content") == record["imported"]["content"]
    if held and (not same or not held.keys() <= rows.keys()):
        raise StoreError(
            f"{writer.layout.root}: study {study} was imported from other data, or by another mapping, "
            f"and has {len(held)} trials.",
            cure="Import under another name (`--study NAME`), and keep both apart.",
        )
    new = [row for identity, row in rows.items() if identity not in held]
    steps = _Steps(tell, len(new))
    steps("recording")
    writer.record_study(dict(record))
    steps("recorded")
    if new:
        try:
            path, manifest = _write(writer.layout, new, steps)
        except OSError as error:
            raise _refused(writer.layout, error, "Nothing was imported. Make room, and import again.") from error
        try:
            sync_folder(writer.layout.compacted)
            steps("imported")
            write_durably(writer.layout.manifest / manifest.name, manifest_bytes(manifest))
        except OSError as error:
            cure = f"Everything was imported. Make room, and `joulefleet compact` lists {path.name}."
            raise _refused(writer.layout, error, cure) from error
        steps("listed")
    return len(new)


def _refused(layout: StoreLayout, error: OSError, cure: str) -> StoreError:
    return StoreError(f"{layout.root}: cannot be written ({error.strerror or error}).", cure=cure)


class _Steps:
    def __init__(self, tell: Tell, total: int) -> None:
        self._tell = tell
        self._total = total

    def __call__(self, what: str) -> None:
        self._tell(Step(what=what, done=0, total=self._total))


def _held(layout: StoreLayout, study: str) -> dict[str, str | None]:
    """The attempts of `study` that the store has, each with the tool that it was imported from."""
    with joulefleet.open(layout.root) as store:
        found = store.arrow("select attempt_id, imported_from from attempts where study = ?", [study])
    return {row["attempt_id"]: row["imported_from"] for row in found.to_pylist()}


def _check_name(study: str, tool: str, before: Mapping[str, Any], *, measured: bool) -> None:
    """Refuse a name that a measured study has, or one that came from another tool."""
    cure = "Import under another name: `--study NAME`."
    if measured or (before and "imported" not in before):
        raise StoreError(f"study {study} of this store was measured by Joulefleet, not imported.", cure=cure)
    if before and before["imported"]["from"] != tool:
        raise StoreError(f"study {study} of this store was imported from {before['imported']['from']}.", cure=cure)


def _write(layout: StoreLayout, rows: list[dict[str, Any]], steps: _Steps) -> tuple[Path, Manifest]:
    """Write the compacted file; from its renaming on, its rows count. Raises OSError, and then none does."""
    for folder in (layout.compacted, layout.manifest):
        folder.mkdir(exist_ok=True)
    # Of the form that a compaction sweeps up where this process dies.
    temporary = layout.compacted / f".import.parquet.{os.getpid()}.tmp"
    try:
        with temporary.open("wb") as out:
            steps("writing")
            ids, digests = write_groups(out, _groups(rows))
            out.flush()
            os.fsync(out.fileno())
        steps("written")
        if [rows_digest(group) for group in read_groups(temporary)] != digests:
            raise StoreError(
                f"{layout.compacted}: what was written reads differently.",
                cure="Nothing was imported. Check this machine's disk and memory.",
            )
        steps("checked")
        with temporary.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        path = layout.compacted / f"{sha256[:20]}.parquet"
        manifest = Manifest(
            file=path.name, size_bytes=temporary.stat().st_size, sha256=sha256, attempts=tuple(ids), replaces=()
        )
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path, manifest


def _groups(rows: list[dict[str, Any]]) -> Iterator[pa.Table]:
    """The rows as tables of a row group each."""
    left = iter(rows)
    while group := [attempt_table(row) for row in islice(left, GROUP_ROWS)]:
        yield pa.concat_tables(group).combine_chunks()
