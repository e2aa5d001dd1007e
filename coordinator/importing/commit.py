"""An imported package into a store: all of it at one moment, or nothing.

First the study's record, which says what was planned and has no rows yet; then one compacted file
with every row, from whose renaming on all of them count; then its manifest. Whoever dies in between
leaves a store without any row of the import, or with all; the same import done again completes it.
The caller holds the store's lock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa

import joulefleet
from coordinator.importing.model import Package
from coordinator.importing.rows import import_rows
from coordinator.store.writer import StoreWriter
from joulefleet.durable import rename_durably, temporary_file, write_durably
from joulefleet.errors import StoreError
from joulefleet.schema import attempt_table
from joulefleet.store.compaction import Step
from joulefleet.store.layout import StoreLayout
from joulefleet.store.manifest import Manifest, manifest_bytes
from joulefleet.store.records import StudyRecord
from joulefleet.store.row_groups import GROUP_ROWS, read_groups, rows_digest, write_groups
from joulefleet.store.snapshot import parquet_names

Tell = Callable[[Step], None]


def place(writer: StoreWriter, package: Package, record: StudyRecord, *, tell: Tell = lambda step: None) -> int:
    """Put `package` into the store of `writer` as the study of `record`; how many runs were added.

    None were where the store has them all already. Raises StoreError where another study has the
    name, or other data of this one, and then changes nothing.
    """
    study, imported = record.name, record.imported
    assert imported is not None
    rows = {row["attempt_id"]: row for row in import_rows(study, package)}
    before = writer.last_record(study)
    held = _held(writer.layout, study)
    _check_name(study, package.tool, before, measured=None in held.values())
    same = before is None or (before.imported is not None and before.imported.content == imported.content)
    if held and (not same or not held.keys() <= rows.keys()):
        raise StoreError(
            f"{writer.layout.root}: study {study} was imported from other data, or by another mapping, "
            f"and has {len(held)} trials.",
            cure="Import under another name (`--study NAME`), and keep both apart.",
        )
    new = [row for identity, row in rows.items() if identity not in held]
    steps = _Steps(tell, len(new))
    steps("recording")
    writer.record_study(record)
    steps("recorded")
    if new:
        files = set(parquet_names(writer.layout.compacted))
        try:
            manifest = _write(writer.layout, new, steps)
            steps("imported")
            write_durably(writer.layout.manifest / manifest.name, manifest_bytes(manifest))
        except OSError as error:
            cure = "Nothing was imported. Make room, and import again."
            if added := set(parquet_names(writer.layout.compacted)) - files:
                cure = f"Everything was imported. Make room, and `joulefleet compact` lists {added.pop()}."
            raise StoreError(
                f"{writer.layout.root}: cannot be written ({error.strerror or error}).", cure=cure
            ) from error
        steps("listed")
    return len(new)


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


def _check_name(study: str, tool: str, before: StudyRecord | None, *, measured: bool) -> None:
    """Refuse a name that a measured study has, or one that came from another tool."""
    cure = "Import under another name: `--study NAME`."
    if measured or (before is not None and before.imported is None):
        raise StoreError(f"study {study} of this store was measured by Joulefleet, not imported.", cure=cure)
    if before is not None and before.imported_from != tool:
        raise StoreError(f"study {study} of this store was imported from {before.imported_from}.", cure=cure)


def _write(layout: StoreLayout, rows: list[dict[str, Any]], steps: _Steps) -> Manifest:
    """Write the compacted file, whose rows count from its renaming on. Returns its manifest. Raises OSError."""
    for folder in (layout.compacted, layout.manifest):
        folder.mkdir(exist_ok=True)
    # A compaction removes a temporary file of this name where this process dies.
    with temporary_file(layout.compacted / "import.parquet") as temporary:
        with temporary.open("wb") as out:
            steps("writing")
            ids, digests = write_groups(out, _groups(rows))
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
        rename_durably(temporary, path)
    return manifest


def _groups(rows: list[dict[str, Any]]) -> Iterator[pa.Table]:
    """The rows as tables of a row group each."""
    left = iter(rows)
    while group := [attempt_table(row) for row in islice(left, GROUP_ROWS)]:
        yield pa.concat_tables(group).combine_chunks()
