"""Writes an imported package into a store: all of it at one moment, or nothing.

The steps: the record of the study, which states what was planned and has no rows yet; one compacted file
with every row, whose rename adds all rows at once; the manifest of that file. A process that dies in
between leaves a store without any row of the import, or with all rows. The same import then completes it.
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
from coordinator.importing.mapping.spec import CommonMapping
from coordinator.importing.model import Package
from coordinator.importing.rows import check_pairs, import_record, import_rows
from coordinator.store.writer import StoreWriter, open_store
from joulefleet.durable import sync_folder, temporary_file, write_durably
from joulefleet.errors import StoreError
from joulefleet.schema import attempt_table
from joulefleet.store.compaction import Step
from joulefleet.store.layout import StoreLayout
from joulefleet.store.manifest import Manifest, manifest_bytes
from joulefleet.store.row_groups import GROUP_ROWS, read_groups, rows_digest, write_groups


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
    record: Mapping[str, Any],
    *,
    on_step: Callable[[Step], None] = lambda step: None,
) -> int:
    """Write `package` into the store of `writer` as the study of `record`; return the number of runs added.

    Runs that the store has already are not added again. Raises StoreError, and changes nothing, if another
    study has the name, or if the store has other data of this study.
    """
    study = str(record["study"]["name"])
    rows = {row["attempt_id"]: row for row in import_rows(study, package)}
    before = writer.last_record(study)
    held = _imported_attempts(writer.layout, study)
    _check_name(study, package.tool, before, measured=None in held.values())
    same = not before or before["imported"].get("content") == record["imported"]["content"]
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
    writer.record_study(dict(record))
    step("recorded")
    if new:
        try:
            path, manifest = _write(writer.layout, new, step)
        except OSError as error:
            raise _write_error(
                writer.layout, error, "Nothing was imported. Free some space, and import again."
            ) from error
        try:
            sync_folder(writer.layout.compacted)
            step("imported")
            write_durably(writer.layout.manifest / manifest.name, manifest_bytes(manifest))
        except OSError as error:
            cure = f"Everything was imported. Free some space, and run `joulefleet compact`, which lists {path.name}."
            raise _write_error(writer.layout, error, cure) from error
        step("listed")
    return len(new)


def _write_error(layout: StoreLayout, error: OSError, cure: str) -> StoreError:
    return StoreError(f"{layout.root}: cannot be written ({error.strerror or error}).", cure=cure)


def _imported_attempts(layout: StoreLayout, study: str) -> dict[str, str | None]:
    """Return the attempts of `study` that the store has, each with the tool that it was imported from."""
    with joulefleet.open(layout.root) as store:
        rows = store.arrow("select attempt_id, imported_from from attempts where study = ?", [study])
    return {row["attempt_id"]: row["imported_from"] for row in rows.to_pylist()}


def _check_name(study: str, tool: str, before: Mapping[str, Any], *, measured: bool) -> None:
    """Raise StoreError if a study of this name was measured, or was imported from another tool."""
    cure = "Import under another name: `--study NAME`."
    if measured or (before and "imported" not in before):
        raise StoreError(f"study {study} of this store was measured by Joulefleet, not imported.", cure=cure)
    if before and before["imported"]["from"] != tool:
        raise StoreError(f"study {study} of this store was imported from {before['imported']['from']}.", cure=cure)


def _write(layout: StoreLayout, rows: list[dict[str, Any]], step: Callable[[str], None]) -> tuple[Path, Manifest]:
    """Write `rows` as a compacted file, which the store has from its rename on. Raises OSError before the rename."""
    for folder in (layout.compacted, layout.manifest):
        folder.mkdir(exist_ok=True)
    # If this process dies, a compaction removes the temporary file.
    with temporary_file(layout.compacted / "import.parquet") as temporary:
        with temporary.open("wb") as out:
            step("writing")
            ids, digests = write_groups(out, _groups(rows))
            out.flush()
            os.fsync(out.fileno())
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
        temporary.rename(path)
    return path, manifest


def _groups(rows: list[dict[str, Any]]) -> Iterator[pa.Table]:
    """Yield `rows` as tables, each of one row group."""
    remaining = iter(rows)
    while group := [attempt_table(row) for row in islice(remaining, GROUP_ROWS)]:
        yield pa.concat_tables(group).combine_chunks()
