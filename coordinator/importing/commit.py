"""Writes an imported package into a store: all of it at one moment, or nothing.

The steps: the record of the study, which states what was planned and has no rows yet; one compacted file
with every row, whose rename adds all rows at once; the manifest of that file. A process that dies in
between leaves a store without any row of the import, or with all rows. The same import then completes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

import joulefleet
from coordinator.importing.mapping.spec import CommonMapping
from coordinator.importing.model import Package
from coordinator.importing.rows import check_pairs, import_record, import_rows
from coordinator.store.writer import StoreWriter, open_store
from joulefleet.durable import rename_durably, temporary_file, write_durably
from joulefleet.errors import StoreError
from joulefleet.schema import attempt_table
from joulefleet.store.compaction import Step
from joulefleet.store.layout import StoreLayout
from joulefleet.store.manifest import Manifest, manifest_bytes
from joulefleet.store.records import StudyRecord
from joulefleet.store.row_groups import GROUP_ROWS, read_groups, rows_digest, write_groups
from joulefleet.store.snapshot import parquet_names


def import_package(
    root: Path, study: str, package: Package, mapping: CommonMapping, given: Mapping[str, Any], *, mapping_name: str
) -> int:
    """Import `package` into the store at `root` as the study named `study`; return the number of runs added.

    `given` is the mapping as plain data, `mapping_name` its name in messages. The store is created if it is
    missing. Raises StudyError for a pair without runs, and StoreError as `commit` does.
    """
    check_pairs(mapping, package, mapping_name)
    with open_store(root, study="joulefleet import") as writer:
        return commit(writer, package, import_record(study, package, mapping, given))


def commit(
    writer: StoreWriter,
    package: Package,
    record: StudyRecord,
    *,
    on_step: Callable[[Step], None] = lambda step: None,
) -> int:
    """Write `package` into the store of `writer` as the study of `record`; return the number of runs added.

    Runs that the store has already are not added again. Raises StoreError, and changes nothing, if another
    study has the name, or if the store has other data of this study.
    """
    study, imported = record.name, record.imported
    assert imported is not None
    rows = {row["attempt_id"]: row for row in import_rows(study, package)}
    before = writer.last_record(study)
    held = _imported_attempts(writer.layout, study)
    _check_name(study, package.tool, before, measured=None in held.values())
    same = before is None or (before.imported is not None and before.imported.content == imported.content)
    if held and (not same or not held.keys() <= rows.keys()):
        raise StoreError(
            f"{writer.layout.root}: study {study} was imported from other data, or by another mapping, "
            f"and has {len(held)} trials.",
            cure="Import under another name: `--study NAME`.",
        )
    new = [row for identity, row in rows.items() if identity not in held]

    def step(what: str) -> None:
        on_step(Step(what=what, done=0, total=len(new)))

    step("recording")
    writer.record_study(record)
    step("recorded")
    if new:
        files = set(parquet_names(writer.layout.compacted))
        try:
            manifest = _write(writer.layout, new, step)
            step("imported")
            write_durably(writer.layout.manifest / manifest.name, manifest_bytes(manifest))
        except OSError as error:
            cure = "Nothing was imported. Free some space, and import again."
            if added := set(parquet_names(writer.layout.compacted)) - files:
                cure = f"Everything was imported. Free some space; `joulefleet compact` then lists {added.pop()}."
            raise StoreError(
                f"{writer.layout.root}: cannot be written ({error.strerror or error}).", cure=cure
            ) from error
        step("listed")
    return len(new)


def _imported_attempts(layout: StoreLayout, study: str) -> dict[str, str | None]:
    """Return the attempts of `study` that the store has, each with the tool that it was imported from."""
    with joulefleet.open(layout.root) as store:
        rows = store.arrow("select attempt_id, imported_from from attempts where study = ?", [study])
    return {row["attempt_id"]: row["imported_from"] for row in rows.to_pylist()}


def _check_name(study: str, tool: str, before: StudyRecord | None, *, measured: bool) -> None:
    """Raise StoreError if a study of this name was measured, or was imported from another tool."""
    cure = "Import under another name: `--study NAME`."
    if measured or (before is not None and before.imported is None):
        raise StoreError(f"study {study} of this store was measured by Joulefleet, not imported.", cure=cure)
    if before is not None and before.imported_from != tool:
        raise StoreError(f"study {study} of this store was imported from {before.imported_from}.", cure=cure)


def _write(layout: StoreLayout, rows: list[dict[str, Any]], step: Callable[[str], None]) -> Manifest:
    """Write `rows` as a compacted file, which the store has from its rename on; return its manifest. Raises OSError."""
    for folder in (layout.compacted, layout.manifest):
        folder.mkdir(exist_ok=True)
    # If this process dies, a compaction removes the temporary file.
    with temporary_file(layout.compacted / "import.parquet") as temporary:
        with temporary.open("wb") as out:
            step("writing")
            ids, digests = write_groups(out, _groups(rows))
        step("written")
        if [rows_digest(group) for group in read_groups(temporary)] != digests:
            raise StoreError(
                f"{layout.compacted}: the rows read back differ from the rows written.",
                cure="Nothing was imported. Check this machine's disk and memory.",
            )
        step("checked")
        with temporary.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        path = layout.compacted / f"{sha256[:20]}.parquet"
        manifest = Manifest(
            file=path.name, size_bytes=temporary.stat().st_size, sha256=sha256, attempts=tuple(ids), replaces=()
        )
        rename_durably(temporary, path)
    return manifest


def _groups(rows: list[dict[str, Any]]) -> Iterator[pa.Table]:
    """Yield `rows` as tables, each of one row group."""
    remaining = iter(rows)
    while group := [attempt_table(row) for row in islice(remaining, GROUP_ROWS)]:
        yield pa.concat_tables(group).combine_chunks()
