"""Manifests: which attempts a compacted file holds, and which older compacted files it replaces.

A compacted file counts from the moment its manifest exists; nothing is removed before. Both are
written once and never changed, and have the same name: `compacted/<name>.parquet`, `manifest/<name>.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from joulefleet.errors import StoreError
from joulefleet.versions import MANIFEST_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The record of one compacted file."""

    file: str
    """Name of the compacted file in compacted/."""
    size_bytes: int
    sha256: str
    attempts: tuple[str, ...]
    """Ids of its attempts, in the order of its rows."""
    replaces: tuple[str, ...]
    """Names of the compacted files that were merged into it, directly or earlier; removed, or about to be."""

    @property
    def name(self) -> str:
        """Name of the manifest in manifest/."""
        return manifest_name(self.file)


def manifest_name(file: str) -> str:
    """Return the name of the manifest of the compacted file `file`."""
    return f"{file.removesuffix('.parquet')}.json"


def manifest_bytes(manifest: Manifest) -> bytes:
    """Return the content of the file of `manifest`."""
    return json.dumps({"manifest": MANIFEST_VERSION} | asdict(manifest), indent=0).encode()


def read_manifest(path: Path) -> Manifest:
    """Read the manifest at `path`. Raises StoreError where it is damaged, FileNotFoundError where there is none."""
    return parse_manifest(path.read_bytes(), str(path))


def parse_manifest(text: bytes, path: str) -> Manifest:
    """Parse `text`, the content of the manifest at `path`. Raises StoreError."""
    try:
        data = json.loads(text)
        version = int(data["manifest"])
        manifest = Manifest(
            file=str(data["file"]),
            size_bytes=int(data["size_bytes"]),
            sha256=str(data["sha256"]),
            attempts=tuple(map(str, data["attempts"])),
            replaces=tuple(map(str, data["replaces"])),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"{path}: damaged.", cure="Restore it from a copy, or from where it was published.") from error
    if version > MANIFEST_VERSION:
        raise StoreError(f"{path}: written by a newer Joulefleet.", cure="Install a newer Joulefleet.")
    # The name is joined to a folder: nothing in a file of the store may lead out of it.
    if manifest.name != Path(path).name or "/" in manifest.file:
        raise StoreError(f"{path}: not named for its file {manifest.file}.", cure="Move it out of the store.")
    return manifest


def not_replaced(manifests: Iterable[Manifest]) -> list[Manifest]:
    """Return those of `manifests` that no other replaces, sorted by the names of their files."""
    by_file = sorted(manifests, key=lambda manifest: manifest.file)
    replaced = {file for manifest in by_file for file in manifest.replaces}
    return [manifest for manifest in by_file if manifest.file not in replaced]
