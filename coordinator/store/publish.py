"""Publishing: copies what is compacted of a store to any address that pyarrow.fs knows, for others to read.

Data goes before what makes it count: compacted files, studies, manifests, and format.json at the very
end. A publication that was cut off is no store yet, or the store as it was; the next one goes on.
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
from joulefleet.store.snapshot import Lookout, parquet_names

_WHOLE_AT_ONCE = frozenset({"s3", "gcs", "abfs"})
"""Stores of objects: a name is there when all of it is. Elsewhere a file is renamed when it is whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What a publication did."""

    uri: str
    attempts: int
    """Attempts there now."""
    sent_files: int
    sent_bytes: int
    kept_files: int
    """Files that were there already."""
    not_compacted: int
    """Attempts of the store that are not there, as they are not compacted."""


def publish(layout: StoreLayout, uri: str, *, tell: Callable[[Step], None] = lambda step: None) -> Published:
    """Copy what is compacted of the store at `layout` to `uri`. Raises StoreError; run again, it goes on."""
    read_format(layout)
    manifests, strays = Lookout(layout).manifests()
    held = {attempt for manifest in manifests for attempt in manifest.attempts}
    loose = {name.removesuffix(".parquet") for name in parquet_names(layout.attempts)}
    system, base = remote(uri)
    with plain_remote_errors(uri):
        sender = _Sender(layout, system, base)
        sender.check_target(uri)
        total = sum(manifest.size_bytes for manifest in manifests)
        done = 0
        for manifest in manifests:
            tell(Step(what="publishing", done=done, total=total))
            sender.send_data(manifest)
            done += manifest.size_bytes
        for folder in (layout.studies, layout.plans, layout.verdicts):
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
        not_compacted=len(loose - held) + len(strays),
    )


class _Sender:
    def __init__(self, layout: StoreLayout, system: fs.FileSystem, base: str) -> None:
        self._layout = layout
        self._system = system
        self._base = base
        self._there: dict[str, int | None] = {}
        """The compacted files that are there, and their sizes."""
        self.sent_files = 0
        self.sent_bytes = 0
        self.kept_files = 0

    def check_target(self, uri: str) -> None:
        """Refuse an address that holds something else."""
        layout = self._layout
        if self._system.type_name == "local" and Path(self._base).resolve() == layout.root.resolve():
            raise StoreError(f"{uri}: the store itself.", cure="Name another folder.")
        folders = (layout.studies, layout.plans, layout.verdicts, layout.compacted, layout.manifest)
        found = names_at(self._system, self._base)
        self._there = names_at(self._system, f"{self._base}/{layout.compacted.name}")
        other = sorted(found.keys() - {path.name for path in (layout.format_file, *folders)})
        if other:
            raise StoreError(f"{uri}: holds other files ({other[0]}).", cure="Name an empty or a new prefix.")
        if layout.format_file.name not in found:
            return
        try:
            there = json.loads(read_at(self._system, f"{self._base}/{layout.format_file.name}")).get("store_id")
        except (ValueError, AttributeError):
            there = None
        if there != read_format(layout):
            raise StoreError(f"{uri}: holds another store.", cure="Name an empty or a new prefix.")

    def send_data(self, manifest: Manifest) -> None:
        """Send the compacted file of `manifest`, unless it is there."""
        layout, path = self._layout, f"{self._layout.compacted.name}/{manifest.file}"
        if self._there.get(manifest.file) == manifest.size_bytes and self._is_there(manifest, path):
            self.kept_files += 1
            return
        digest = hashlib.sha256()
        self._put(path, self._watched(layout.compacted / manifest.file, digest.update))
        if digest.hexdigest() != manifest.sha256:
            self._system.delete_file(f"{self._base}/{path}")
            raise StoreError(
                f"{layout.compacted / manifest.file}: damaged; nothing of it was published.",
                cure="Restore it from a copy, or from where it was published.",
            )
        self.sent_bytes += manifest.size_bytes

    def send_folder(self, folder: Path) -> None:
        """Send every file of a folder of small files."""
        for path in sorted(folder.iterdir()) if folder.exists() else []:
            if not path.name.startswith(".") and path.is_file():
                self.send(path.read_bytes(), f"{folder.name}/{path.name}")

    def send(self, data: bytes, path: str) -> None:
        """Send a small file, unless it is there."""
        if self._read(path) == data:
            self.kept_files += 1
        else:
            self._put(path, [data])
            self.sent_bytes += len(data)

    def remove_merged(self, files: Iterable[str]) -> None:
        """Remove compacted files that were published before, and are merged into others now."""
        folders = (self._layout.manifest.name, self._layout.compacted.name)
        there = [names_at(self._system, f"{self._base}/{folder}") for folder in folders]
        for file in files:
            for folder, name, names in zip(folders, (manifest_name(file), file), there, strict=True):
                if name in names:
                    self._system.delete_file(f"{self._base}/{folder}/{name}")

    def _is_there(self, manifest: Manifest, path: str) -> bool:
        # The manifest went after the whole of its file was there; only without it the file is read.
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

    def _watched(self, path: Path, watch: Callable[[bytes], None]) -> Iterator[bytes]:
        try:
            with path.open("rb") as file:
                while block := file.read(BLOCK_BYTES):
                    watch(block)
                    yield block
        except FileNotFoundError as error:
            raise StoreError(f"{path}: was merged meanwhile.", cure="Run `joulefleet publish` again.") from error

    def _put(self, path: str, blocks: Iterable[bytes]) -> None:
        target = f"{self._base}/{path}"
        folder, _, name = target.rpartition("/")
        direct = self._system.type_name in _WHOLE_AT_ONCE
        if not direct:
            self._system.create_dir(folder, recursive=True)
        written = target if direct else f"{folder}/.{name}.{os.getpid()}.tmp"
        with self._system.open_output_stream(written) as out:
            for block in blocks:
                out.write(block)
        if not direct:
            self._system.move(written, target)
        self.sent_files += 1
