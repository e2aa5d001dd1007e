"""Publishing: copy the compacted part of a store to an address that pyarrow.fs supports, for others to read.

The order is compacted files, studies, manifests, format.json: data comes before the file that makes it
count. A publication that was interrupted leaves no store, or the store as it was; the next one continues.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pyarrow import fs

from joulefleet.errors import StoreError
from joulefleet.store.compaction import Step
from joulefleet.store.layout import StoreLayout, read_format
from joulefleet.store.manifest import Manifest, manifest_bytes, manifest_name
from joulefleet.store.remote import BLOCK_BYTES, blocks_at, names_at, plain_remote_errors, read_at, remote
from joulefleet.store.snapshot import SnapshotReader, parquet_names

_ATOMIC_WRITES = frozenset({"s3", "gcs", "abfs"})
"""Object stores: an object appears when all of it was sent. Elsewhere a temporary file is renamed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Result of a publication."""

    uri: str
    attempts: int
    """Attempts at the address now."""
    sent_files: int
    sent_bytes: int
    kept_files: int
    """Files that were at the address already."""
    not_compacted: int
    """Attempts of the store that are not published, as they are not compacted."""


def publish(layout: StoreLayout, uri: str, *, on_step: Callable[[Step], None] = lambda step: None) -> Published:
    """Copy the compacted part of the store at `layout` to `uri`; `on_step` is called before each compacted file.

    Raises StoreError. Another call continues after an error.
    """
    read_format(layout)
    manifests, unlisted = SnapshotReader(layout).manifests()
    held = {attempt for manifest in manifests for attempt in manifest.attempts}
    loose = {name.removesuffix(".parquet") for name in parquet_names(layout.attempts)}
    system, base = remote(uri)
    with plain_remote_errors(uri):
        sender = _Sender(layout, system, base)
        sender.check_target(uri)
        total = sum(manifest.size_bytes for manifest in manifests)
        done = 0
        for manifest in manifests:
            on_step(Step(what="publishing", done=done, total=total))
            sender.send_data(manifest)
            done += manifest.size_bytes
        for folder in (layout.studies, layout.plans):
            sender.send_folder(folder)
        for manifest in manifests:
            sender.send(manifest_bytes(manifest), f"{layout.manifest.name}/{manifest.name}")
        sender.send(layout.format_file.read_bytes(), layout.format_file.name)
        sender.remove_merged(file for manifest in manifests for file in manifest.replaces)
    return Published(
        uri=uri,
        attempts=len(held),
        sent_files=sender.sent_files,
        sent_bytes=sender.sent_bytes,
        kept_files=sender.kept_files,
        not_compacted=len(loose - held) + len(unlisted),
    )


class _Sender:
    def __init__(self, layout: StoreLayout, system: fs.FileSystem, base: str) -> None:
        self._layout = layout
        self._system = system
        self._base = base
        self._published: dict[str, int | None] = {}
        """Compacted files at the address, and their sizes in bytes."""
        self.sent_files = 0
        self.sent_bytes = 0
        self.kept_files = 0

    def check_target(self, uri: str) -> None:
        """Raise StoreError where the address holds something else than this store."""
        layout = self._layout
        if self._system.type_name == "local" and Path(self._base).resolve() == layout.root.resolve():
            raise StoreError(f"{uri}: the store itself.", cure="Name another folder.")
        folders = (layout.studies, layout.plans, layout.compacted, layout.manifest)
        present = names_at(self._system, self._base)
        self._published = names_at(self._system, f"{self._base}/{layout.compacted.name}")
        other = sorted(present.keys() - {path.name for path in (layout.format_file, *folders)})
        if other:
            raise StoreError(f"{uri}: holds other files ({other[0]}).", cure="Name an empty or a new prefix.")
        if layout.format_file.name not in present:
            return
        try:
            store_id = json.loads(read_at(self._system, f"{self._base}/{layout.format_file.name}")).get("store_id")
        except (ValueError, AttributeError):
            store_id = None
        if store_id != read_format(layout):
            raise StoreError(f"{uri}: holds another store.", cure="Name an empty or a new prefix.")

    def send_data(self, manifest: Manifest) -> None:
        """Send the compacted file of `manifest`, unless the address has it."""
        layout, path = self._layout, f"{self._layout.compacted.name}/{manifest.file}"
        if self._published.get(manifest.file) == manifest.size_bytes and self._is_complete(manifest, path):
            self.kept_files += 1
            return
        digest = hashlib.sha256()
        self._put(path, self._blocks(layout.compacted / manifest.file, digest.update))
        if digest.hexdigest() != manifest.sha256:
            self._system.delete_file(f"{self._base}/{path}")
            raise StoreError(
                f"{layout.compacted / manifest.file}: damaged; nothing of it was published.",
                cure="Restore it from a copy, or from where it was published.",
            )
        self.sent_bytes += manifest.size_bytes

    def send_folder(self, folder: Path) -> None:
        """Send every file of `folder`, all of which are small."""
        for path in sorted(folder.iterdir()) if folder.exists() else []:
            if not path.name.startswith(".") and path.is_file():
                self.send(path.read_bytes(), f"{folder.name}/{path.name}")

    def send(self, data: bytes, path: str) -> None:
        """Send a small file, unless the address has it."""
        if self._read(path) == data:
            self.kept_files += 1
        else:
            self._put(path, [data])
            self.sent_bytes += len(data)

    def remove_merged(self, files: Iterable[str]) -> None:
        """Remove published compacted files that were merged into others since."""
        folders = (self._layout.manifest.name, self._layout.compacted.name)
        present = [names_at(self._system, f"{self._base}/{folder}") for folder in folders]
        for file in files:
            for folder, name, names in zip(folders, (manifest_name(file), file), present, strict=True):
                if name in names:
                    self._system.delete_file(f"{self._base}/{folder}/{name}")

    def _is_complete(self, manifest: Manifest, path: str) -> bool:
        # The manifest is sent after all of its file; only without a manifest the file has to be read.
        if self._read(f"{self._layout.manifest.name}/{manifest.name}") == manifest_bytes(manifest):
            return True
        digest = hashlib.sha256()
        for block in blocks_at(self._system, f"{self._base}/{path}"):
            digest.update(block)
        return digest.hexdigest() == manifest.sha256

    def _read(self, path: str) -> bytes | None:
        try:
            return read_at(self._system, f"{self._base}/{path}")
        except FileNotFoundError:
            return None

    def _blocks(self, path: Path, on_block: Callable[[bytes], None]) -> Iterator[bytes]:
        try:
            with path.open("rb") as file:
                while block := file.read(BLOCK_BYTES):
                    on_block(block)
                    yield block
        except FileNotFoundError as error:
            raise StoreError(f"{path}: was merged meanwhile.", cure="Run `joulefleet publish` again.") from error

    def _put(self, path: str, blocks: Iterable[bytes]) -> None:
        target = f"{self._base}/{path}"
        folder, _, name = target.rpartition("/")
        direct = self._system.type_name in _ATOMIC_WRITES
        if not direct:
            self._system.create_dir(folder, recursive=True)
        written = target if direct else f"{folder}/.{name}.{os.getpid()}.tmp"
        with self._system.open_output_stream(written) as out:
            for block in blocks:
                out.write(block)
        if not direct:
            self._system.move(written, target)
        self.sent_files += 1
