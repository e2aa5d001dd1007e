"""Manifests: which attempts a compacted file holds, and which older compacted files it replaces.

A compacted file counts from the moment its manifest is there; nothing is removed before. Both are
written once and never changed, and named alike: `compacted/<name>.parquet`, `manifest/<name>.json`.
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
    """What is known of one compacted file."""

    file: str
    """Its name in compacted/."""
    size_bytes: int
    sha256: str
    attempts: tuple[str, ...]
    """The ids of its attempts, in the order of its rows."""
    replaces: tuple[str, ...]
    """Compacted files that it was merged from, and those that these were merged from; gone, or to be removed."""

    @property
    def name(self) -> str:
        """The name of the manifest in manifest/."""
        return manifest_name(self.file)


def manifest_name(file: str) -> str:
    """The name of the manifest of the compacted file `file`."""
    return f"{file.removesuffix('.parquet')}.json"


def manifest_bytes(manifest: Manifest) -> bytes:
    """`manifest` as its file holds it."""
    return json.dumps({"manifest": MANIFEST_VERSION} | asdict(manifest), indent=0).encode()


def read_manifest(path: Path) -> Manifest:
    """The manifest at `path`. Raises StoreError where it is none, FileNotFoundError where there is nothing."""
    return manifest_of(path.read_bytes(), str(path))


def manifest_of(text: bytes, path: str) -> Manifest:
    """The manifest in `text`, which lies at `path`. Raises StoreError."""
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


def live(manifests: Iterable[Manifest]) -> list[Manifest]:
    """Those of `manifests` that no other replaces, in the order of their names."""
    known = sorted(manifests, key=lambda manifest: manifest.file)
    replaced = {file for manifest in known for file in manifest.replaces}
    return [manifest for manifest in known if manifest.file not in replaced]
