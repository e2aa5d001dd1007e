"""Where a store's files lie, and how a store is told from any other folder."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from joulefleet.errors import StoreError
from joulefleet.versions import LAYOUT_VERSION, SCHEMA_VERSION

DEFAULT_STORE = "joulefleet-store"
STORE_VARIABLE = "JOULEFLEET_STORE"


@dataclass(frozen=True, slots=True)
class StoreLayout:
    """The paths of a store. Names only: no file is opened, and none has to exist.

    The coordinator that holds `lock_file` is the only writer of all of it. Readers take no lock: a file
    is written once under its final name and never changed, except `live_file` and the files in `plans`,
    which are replaced atomically. A compaction removes attempts and compacted files after the file that
    replaces them counts.
    """

    root: Path

    @property
    def format_file(self) -> Path:
        """Versions of the layout and of the rows, and the store's id."""
        return self.root / "format.json"

    @property
    def attempts(self) -> Path:
        """One Parquet file for each attempt, named `<attempt_id>.parquet`."""
        return self.root / "attempts"

    @property
    def compacted(self) -> Path:
        """Parquet files of many attempts each, named by the digest of their bytes."""
        return self.root / "compacted"

    @property
    def manifest(self) -> Path:
        """One JSON file for each compacted file, which counts from the moment its manifest exists."""
        return self.root / "manifest"

    @property
    def studies(self) -> Path:
        """Each study as it was requested and resolved, one JSON file for each version."""
        return self.root / "studies"

    @property
    def plans(self) -> Path:
        """How each place measures a study now, one JSON file for each study and place."""
        return self.root / "plans"

    @property
    def epochs(self) -> Path:
        """One file for each coordinator that ever wrote, named by its number."""
        return self.root / "epochs"

    @property
    def live_file(self) -> Path:
        """What the coordinator is doing now, while there is one."""
        return self.root / "live.json"

    @property
    def lock_file(self) -> Path:
        """Lock of the one coordinator that writes."""
        return self.root / ".lock"


def default_store() -> Path:
    """Return `$JOULEFLEET_STORE`, or ./joulefleet-store where it is not set."""
    return Path(os.environ.get(STORE_VARIABLE) or DEFAULT_STORE)


def format_bytes(store_id: str) -> bytes:
    """Return the content of the format.json of a new store."""
    return json.dumps({"layout": LAYOUT_VERSION, "schema": SCHEMA_VERSION, "store_id": store_id}, indent=1).encode()


def read_format(layout: StoreLayout) -> str:
    """Return the id of the store. Raises StoreError where there is no store, or one of another version."""
    root = layout.root
    try:
        data = json.loads(layout.format_file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if root.is_dir():
            raise StoreError(
                f"{root}: a folder, but no store (it has no format.json).", cure="Name the store's folder with --store."
            ) from error
        raise StoreError(
            f"{root}: there is no store.", cure="Name one with --store, or make one with `joulefleet run`."
        ) from error
    except NotADirectoryError as error:
        raise StoreError(f"{root}: a file, not a store.", cure="Name the store's folder with --store.") from error
    except OSError as error:
        raise StoreError(f"{layout.format_file}: {error.strerror}.", cure="Check the rights of the store.") from error
    except (ValueError, RecursionError):
        data = None
    match data:
        case {"layout": int(version)} if version > LAYOUT_VERSION:
            raise StoreError(
                f"{root}: its layout is version {version}, this Joulefleet reads up to {LAYOUT_VERSION}.",
                cure="Install a newer Joulefleet.",
            )
        case {"layout": int(), "store_id": str(store_id), **rest}:
            if rest.get("schema") != SCHEMA_VERSION:
                raise other_version(root, rest.get("schema"))
            return store_id
    raise StoreError(
        f"{layout.format_file}: damaged.", cure="Restore it from a copy; the attempts themselves are untouched."
    )


def other_version(path: Path | str, version: object) -> StoreError:
    """Return the error for the store or file at `path`, whose rows have another schema version than this package."""
    is_newer = isinstance(version, int) and version > SCHEMA_VERSION
    has = f"schema version {version}" if isinstance(version, int) else "no schema version"
    return StoreError(
        f"{path}: written by {'a newer' if is_newer else 'an older'} Joulefleet ({has}, this one reads "
        f"{SCHEMA_VERSION}).",
        cure="Install a newer Joulefleet."
        if is_newer
        else "Read it with the Joulefleet that wrote it, or run the study again into a new store.",
    )


def is_empty(folder: Path) -> bool:
    """Return whether `folder` holds nothing but the lost+found of a new ext4 volume."""
    return folder.is_dir() and all(entry.name == "lost+found" for entry in folder.iterdir())
