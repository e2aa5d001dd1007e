"""Manifests: written, read back, and refused where they would lead out of a store."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from joulefleet.errors import StoreError
from joulefleet.store.manifest import Manifest, manifest_bytes, not_replaced, parse_manifest
from joulefleet.versions import MANIFEST_VERSION

MANIFEST = Manifest(
    file="ab.parquet", size_bytes=5, sha256="0" * 64, attempts=("a-1", "b-1"), replaces=("old.parquet",)
)


def changed(**values: Any) -> bytes:
    """Return the manifest's file with other values."""
    return json.dumps(json.loads(manifest_bytes(MANIFEST)) | values).encode()


def test_a_manifest_is_read_as_it_was_written() -> None:
    """Its name is that of its file."""
    assert MANIFEST.name == "ab.json"
    assert parse_manifest(manifest_bytes(MANIFEST), "manifest/ab.json") == MANIFEST


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"\xff", changed(attempts=5), changed(size_bytes="many")])
def test_a_damaged_manifest_is_named(text: bytes) -> None:
    """Whatever is wrong with it."""
    with pytest.raises(StoreError, match=r"manifest/ab\.json: damaged"):
        parse_manifest(text, "manifest/ab.json")


def test_a_newer_manifest_is_refused() -> None:
    """It may mean something else."""
    with pytest.raises(StoreError, match="newer"):
        parse_manifest(changed(manifest=MANIFEST_VERSION + 1), "manifest/ab.json")


@pytest.mark.parametrize("file", ["other.parquet", "../ab.parquet", "/etc/ab.parquet"])
def test_a_manifest_names_only_its_own_file(file: str) -> None:
    """The name is joined to a folder of the store."""
    with pytest.raises(StoreError, match="not named for its file"):
        parse_manifest(changed(file=file), "manifest/ab.json")


def test_what_another_manifest_replaces_does_not_count() -> None:
    """Sorted by file."""
    old, newest = replace(MANIFEST, file="old.parquet", replaces=()), replace(MANIFEST, file="zz.parquet")
    assert not_replaced([newest, old, MANIFEST]) == [MANIFEST, newest]
