"""A published store: a copy that `joulefleet publish` wrote to an address that pyarrow.fs supports."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from joulefleet.errors import StoreError
from joulefleet.store.layout import StoreLayout, read_format
from joulefleet.store.manifest import Manifest, not_replaced, parse_manifest

BLOCK_BYTES = 4 << 20
"""Bytes that are copied at once."""

_MOST_TRIES = 3
"""Number of times a store is fetched: a publication may remove merged files once while they are fetched."""

_CURES = (
    (
        ("ACCESS_DENIED", "InvalidAccessKeyId", "SignatureDoesNotMatch", "status 403", "code: 403", "credential"),
        "Check the credentials (for S3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile) and their rights.",
    ),
    (("NO_SUCH_BUCKET", "NoSuchBucket"), "Make the bucket first, or name another."),
    (("NETWORK_CONNECTION", "curl", "Could not resolve"), "Check the network, and endpoint_override in the address."),
    (
        ("Unrecognized filesystem", "Cannot parse URI"),
        "Name one like s3://bucket/prefix, gs://bucket/prefix or file:///folder.",
    ),
)


def is_uri(store: str) -> bool:
    """Return whether `store` is an address rather than a path."""
    return "://" in store


def remote(uri: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of `uri`, and the path in it. Raises StoreError."""
    with plain_remote_errors(uri):
        system, path = fs.FileSystem.from_uri(uri)
        return system, path.rstrip("/")


@contextmanager
def plain_remote_errors(uri: str) -> Iterator[None]:
    """Turn an error of a file system into a StoreError with a cure."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        first = str(error).split("\n", 1)[0]
        cure = next(
            (cure for words, cure in _CURES if any(word.lower() in first.lower() for word in words)),
            "Check the address, the credentials and the network.",
        )
        raise StoreError(f"{uri}: {first.rstrip('.')}.", cure=cure) from error


def fetch(uri: str, folder: Path) -> None:
    """Copy the files that count of the store at `uri` into `folder`. Raises StoreError."""
    system, base = remote(uri)
    for _ in range(_MOST_TRIES - 1):
        try:
            return _fetch(system, base, folder, uri)
        except FileNotFoundError:
            continue
    with plain_remote_errors(uri):
        return _fetch(system, base, folder, uri)


def names_at(system: fs.FileSystem, path: str) -> dict[str, int | None]:
    """Return the names in the folder `path` with their sizes in bytes (None for folders), without hidden ones."""
    entries = system.get_file_info(fs.FileSelector(path, allow_not_found=True))
    return {info.base_name: info.size for info in entries if info.base_name and not info.base_name.startswith(".")}


def read_at(system: fs.FileSystem, path: str) -> bytes:
    """Read all of a small file. Raises FileNotFoundError."""
    with system.open_input_stream(path) as file:
        data: bytes = file.read()
        return data


def blocks_at(system: fs.FileSystem, path: str) -> Iterator[bytes]:
    """Read a large file block by block. Raises FileNotFoundError."""
    with system.open_input_stream(path) as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def _fetch(system: fs.FileSystem, base: str, folder: Path, uri: str) -> None:
    """Raise FileNotFoundError where a file was merged with others after it was listed."""
    layout = StoreLayout(folder)
    with _errors_name_the_address(uri, folder):
        try:
            text = read_at(system, f"{base}/{layout.format_file.name}")
        except FileNotFoundError as error:
            raise StoreError(
                f"{uri}: there is no published store.", cure="Name one that `joulefleet publish` has written."
            ) from error
        layout.format_file.write_bytes(text)
        read_format(layout)
        for part in (layout.studies, layout.plans):
            part.mkdir(exist_ok=True)
            for name in names_at(system, f"{base}/{part.name}"):
                (part / name).write_bytes(read_at(system, f"{base}/{part.name}/{name}"))
        for part in (layout.compacted, layout.manifest):
            part.mkdir(exist_ok=True)
        for manifest in _manifests(system, f"{base}/{layout.manifest.name}"):
            source = f"{base}/{layout.compacted.name}/{manifest.file}"
            if not (layout.manifest / manifest.name).exists():
                _copy(system, source, layout.compacted / manifest.file, manifest)
                text = read_at(system, f"{base}/{layout.manifest.name}/{manifest.name}")
                (layout.manifest / manifest.name).write_bytes(text)


def _manifests(system: fs.FileSystem, folder: str) -> list[Manifest]:
    names = [name for name in names_at(system, folder) if name.endswith(".json")]
    return not_replaced(parse_manifest(read_at(system, f"{folder}/{name}"), f"{folder}/{name}") for name in names)


def _copy(system: fs.FileSystem, source: str, target: Path, manifest: Manifest) -> None:
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for block in blocks_at(system, source):
            digest.update(block)
            out.write(block)
    if digest.hexdigest() != manifest.sha256:
        raise StoreError(f"{source}: damaged.", cure="Remove it there and run `joulefleet publish` again.")


@contextmanager
def _errors_name_the_address(uri: str, folder: Path) -> Iterator[None]:
    """Make errors name `uri` instead of its copy in `folder`; only FileNotFoundError stays as it is."""
    try:
        yield
    except StoreError as error:
        raise StoreError([text.replace(str(folder), uri) for text in error.problems], cure=error.cure) from error
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StoreError(
                f"{folder.parent}: no room for a copy of {uri}.", cure="Name a folder with room in $TMPDIR."
            ) from error
        with plain_remote_errors(uri):
            raise
    except pa.ArrowException:
        with plain_remote_errors(uri):
            raise
