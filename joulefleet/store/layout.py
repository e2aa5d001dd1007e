"""Where things lie in a store, and how to tell a store from anything else."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from joulefleet.errors import StoreError
from joulefleet.versions import LAYOUT_VERSION

DEFAULT_STORE = "joulefleet-store"
STORE_VARIABLE = "JOULEFLEET_STORE"


@dataclass(frozen=True, slots=True)
class StoreLayout:
    """The paths of a store."""

    root: Path

    @property
    def format_file(self) -> Path:
        """Version of the layout, and the store's id."""
        return self.root / "format.json"

    @property
    def attempts(self) -> Path:
        """One Parquet file an attempt, named `<attempt_id>.parquet`."""
        return self.root / "attempts"

    @property
    def compacted(self) -> Path:
        """Parquet files of many attempts each, named for the digest of their bytes."""
        return self.root / "compacted"

    @property
    def manifest(self) -> Path:
        """One JSON file a compacted file: which attempts it holds. It counts from then on."""
        return self.root / "manifest"

    @property
    def studies(self) -> Path:
        """Each study as it was asked and resolved, one JSON file a version."""
        return self.root / "studies"

    @property
    def plans(self) -> Path:
        """How each place measures a study now: one JSON file a study and place."""
        return self.root / "plans"

    @property
    def verdicts(self) -> Path:
        """Later judgements of attempts."""
        return self.root / "verdicts"

    @property
    def epochs(self) -> Path:
        """One file a coordinator that ever wrote, named for its number."""
        return self.root / "epochs"

    @property
    def live_file(self) -> Path:
        """What the coordinator is doing just now, while there is one."""
        return self.root / "live.json"

    @property
    def lock_file(self) -> Path:
        """Held by the one coordinator that writes."""
        return self.root / ".lock"


def default_store() -> Path:
    """`$JOULEFLEET_STORE`, else ./joulefleet-store."""
    return Path(os.environ.get(STORE_VARIABLE) or DEFAULT_STORE)


def rows_since(layout: StoreLayout) -> int:
    """The oldest version of the rows' schema that the store may hold; 1 where format.json does not say."""
    try:
        version = json.loads(layout.format_file.read_text(encoding="utf-8")).get("rows_since", 1)
    except (OSError, ValueError, AttributeError, RecursionError):
        return 1
    return version if isinstance(version, int) else 1


def read_format(layout: StoreLayout) -> str:
    """The id of the store. Raises StoreError where there is none, or one of a layout we do not know."""
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
        case {"layout": int(), "store_id": str(store_id)}:
            return store_id
    raise StoreError(
        f"{layout.format_file}: damaged.", cure="Restore it from a copy; the attempts themselves are untouched."
    )


def is_fresh(folder: Path) -> bool:
    """Whether `folder` holds nothing, or only what a new ext4 file system does: a volume is mounted as it is made."""
    return folder.is_dir() and all(entry.name == "lost+found" for entry in folder.iterdir())
