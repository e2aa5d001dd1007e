"""The one writer of a store: makes it, holds its lock, and commits attempts to it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import platform
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from coordinator.scheduling.attempt import AttemptFact
from coordinator.store.attempts import facts_in, one_attempt
from joulefleet.digest import digest
from joulefleet.durable import sync_folder, write_durably
from joulefleet.errors import StoreError, SupersededError
from joulefleet.store.layout import StoreLayout, is_fresh, read_format
from joulefleet.store.manifest import read_manifest
from joulefleet.versions import LAYOUT_VERSION, SCHEMA_VERSION

_FULL = (errno.ENOSPC, errno.EDQUOT)


class StoreWriter:
    """Writes to a store whose lock is held. Made by `open_store`."""

    def __init__(self, layout: StoreLayout, store_id: str, epoch: int) -> None:
        self.layout = layout
        self.store_id = store_id
        self.epoch = epoch
        """Agents obey the coordinator of the highest epoch."""
        self._records: dict[str, dict[str, Any]] | None = None
        self._compacted: dict[str, frozenset[str]] = {}
        """The attempts of each manifest that was not there when the store was read."""
        self._read: frozenset[str] = frozenset()
        """The manifests that were."""

    def attempts(self, study: str) -> list[AttemptFact]:
        """Every attempt of `study` in the store. Raises StoreError."""
        self._read = frozenset(self._manifests())
        return facts_in(self.layout.root, study)

    def find(self, attempt_id: str) -> bytes | None:
        """The file of one attempt, if it has come since the store was read. Raises StoreError."""
        try:
            return (self.layout.attempts / f"{attempt_id}.parquet").read_bytes()
        except FileNotFoundError:
            return self._find_compacted(attempt_id)
        except OSError as error:
            raise _refused(self.layout.root, error) from error

    def _find_compacted(self, attempt_id: str) -> bytes | None:
        """Another coordinator, since superseded, may have committed it and put it together with others."""
        for name in self._manifests():
            if name not in self._read and name not in self._compacted:
                with contextlib.suppress(FileNotFoundError):
                    self._compacted[name] = frozenset(read_manifest(self.layout.manifest / name).attempts)
        for name, attempts in self._compacted.items():
            if attempt_id in attempts:
                with contextlib.suppress(FileNotFoundError):
                    # Where it is gone, it was merged into one that is there too.
                    return one_attempt(self.layout.compacted / name.replace(".json", ".parquet"), attempt_id)
        return None

    def _manifests(self) -> list[str]:
        try:
            return [path.name for path in self.layout.manifest.iterdir() if path.suffix == ".json"]
        except FileNotFoundError:
            return []

    def commit(self, attempt_id: str, parquet: bytes) -> None:
        """Put an attempt's file into the store durably. Doing it again changes nothing. Raises StoreError."""
        path = self.layout.attempts / f"{attempt_id}.parquet"
        try:
            if path.exists():
                # A name may be there and not be durable: whoever gave it could have died before it was.
                sync_folder(path.parent)
            else:
                write_durably(path, parquet)
        except OSError as error:
            raise _refused(self.layout.root, error) from error

    def record_study(self, record: dict[str, Any]) -> None:
        """Keep a study as it was asked and resolved, unless it is what was asked last. Raises StoreError."""
        name = str(record["study"]["name"])
        identity = digest(record)
        last = self.last_record(name)
        if last.get("digest") == identity:
            return
        now = datetime.now(tz=UTC)
        if last:
            # The newest is the one that was asked last, also where the clock was set back meanwhile.
            now = max(now, datetime.fromisoformat(str(last["asked_at"])) + timedelta(microseconds=1))
        path = self.layout.studies / f"{name}-{now:%Y%m%dT%H%M%S%f}.json"
        stamped = record | {"asked_at": now.isoformat(), "digest": identity}
        try:
            write_durably(path, json.dumps(stamped, indent=1, ensure_ascii=False).encode())
        except OSError as error:
            raise _refused(self.layout.root, error) from error
        self._newest()[name] = stamped

    def record_plan(self, study: str, place: str, protocols: Sequence[str]) -> None:
        """Keep by which protocols `place` measures `study` now. Raises StoreError."""
        data = {"study": study, "place": place, "protocols": sorted(set(protocols))}
        try:
            self.layout.plans.mkdir(exist_ok=True)
            file = self.layout.plans / f"{digest([study, place])}.json"
            content = json.dumps(data, indent=1, ensure_ascii=False).encode()
            if not file.exists() or file.read_bytes() != content:
                write_durably(file, content)
        except OSError as error:
            raise _refused(self.layout.root, error) from error

    def last_record(self, study: str) -> dict[str, Any]:
        """The newest record of the study called `study`; empty where there is none."""
        return self._newest().get(study, {})

    def _newest(self) -> dict[str, dict[str, Any]]:
        """The newest record of each study: read once, as nobody else writes. Raises StoreError."""
        if self._records is None:
            records = [_record(path) for path in self.layout.studies.glob("*.json")]
            records.sort(key=lambda record: datetime.fromisoformat(record["asked_at"]))
            self._records = {record["study"]["name"]: record for record in records}
        return self._records

    def above(self, highest: int) -> SupersededError | None:
        """The error where agents obey `highest`, of which this store knows nothing; the next run goes above it.

        None where this store knows of a later coordinator: that one commands. Raises StoreError.
        """
        try:
            if _last_epoch(self.layout.epochs) > self.epoch:
                return None
            write_durably(self.layout.epochs / str(highest), b'{"heard of": "from an agent"}')
        except OSError as error:
            raise _refused(self.layout.root, error) from error
        return SupersededError(
            f"{self.layout.root}: the agents have obeyed a coordinator of this store with epoch {highest}, and it "
            f"knows of none above {self.epoch}: it was restored from a backup, or is a copy.",
            cure="If no other run of this store or its copies is alive, run again: it will command the agents then.",
            highest=highest,
        )


@contextmanager
def open_store(root: Path, *, study: str) -> Iterator[StoreWriter]:
    """Open the store at `root` for writing, making it where there is nothing.

    Raises StoreError where it cannot be written, is no store, or another run writes to it.
    """
    layout = StoreLayout(root)
    _make_or_find(layout)
    try:
        descriptor = os.open(layout.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _refused(root, error) from error
    try:
        if not _locked_or_refused(descriptor, root):
            raise StoreError(
                f"{root}: {_holder(descriptor)} writes to this store.",
                cure="Wait for it (`joulefleet status --watch`), or name another --store.",
            )
        holder: dict[str, object] = {"host": platform.node(), "pid": os.getpid(), "study": study}
        holder["since"] = datetime.now(tz=UTC).isoformat()
        try:
            epoch = _new_epoch(layout.epochs, holder)
            holder["epoch"] = epoch
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        except OSError as error:
            raise _refused(root, error) from error
        # Read again under the lock: two first runs may have made the store at the same moment.
        yield StoreWriter(layout, read_format(layout), epoch)
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _new_epoch(folder: Path, holder: Mapping[str, object]) -> int:
    """The next number of `folder`, made exclusively: also where the lock does not hold, no two have the same."""
    folder.mkdir(exist_ok=True)
    epoch = 1 + _last_epoch(folder)
    while True:
        try:
            descriptor = os.open(folder / str(epoch), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            epoch += 1
            continue
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(holder, file)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(folder)
        return epoch


def _last_epoch(folder: Path) -> int:
    return max((int(path.name) for path in folder.iterdir() if path.name.isdecimal()), default=0)


def _record(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
        datetime.fromisoformat(record["asked_at"])
        str(record["study"]["name"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path}: no record of a study, or a damaged one.", cure="Remove it, or restore it."
        ) from error
    except OSError as error:
        raise _refused(path, error) from error
    return record


def _locked(descriptor: int) -> bool:
    """Take the lock. Raises OSError where the file system has none.

    `joulefleet status` holds it for microseconds to see whether it is free: that is waited out.
    """
    for _ in range(20):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.01)
        else:
            return True
    return False


def _locked_or_refused(descriptor: int, root: Path) -> bool:
    try:
        return _locked(descriptor)
    except OSError as error:
        raise StoreError(
            f"{root}: its file system has no locks ({error.strerror}).",
            cure="Put the store on a local disk; `joulefleet publish` takes it elsewhere.",
        ) from error


def _make_or_find(layout: StoreLayout) -> None:
    root = layout.root
    if root.is_dir() and not layout.format_file.exists() and not is_fresh(root):
        raise StoreError(
            f"{root}: a folder with other files in it, and no store.", cure="Name an empty or a new folder."
        )
    if root.exists() and layout.format_file.exists():
        read_format(layout)
    elif root.exists() and not root.is_dir():
        raise StoreError(f"{root}: a file, not a store.", cure="Name a folder with --store.")
    else:
        made = {"layout": LAYOUT_VERSION, "rows_since": SCHEMA_VERSION, "store_id": uuid.uuid4().hex}
        try:
            root.mkdir(parents=True, exist_ok=True)
            write_durably(layout.format_file, json.dumps(made, indent=1).encode())
        except OSError as error:
            raise _refused(root, error) from error
    try:
        for folder in (layout.attempts, layout.studies):
            folder.mkdir(exist_ok=True)
        _try_to_write(layout.attempts)
    except OSError as error:
        raise _refused(root, error) from error


def _try_to_write(folder: Path) -> None:
    """A trial is minutes of work: find out before it, not after, that its row cannot be kept."""
    probe = folder / f".probe.{os.getpid()}.tmp"
    try:
        probe.write_bytes(b"\0" * 65536)
    finally:
        probe.unlink(missing_ok=True)


def _holder(descriptor: int) -> str:
    try:
        data = json.loads(os.pread(descriptor, 4096, 0))
        return (
            f"process {int(data['pid'])} on {data['host']} "
            f"(study {data['study']}, since {data['since']}, epoch {int(data['epoch'])})"
        )
    except (ValueError, KeyError, TypeError):
        return "another run"


def _refused(root: Path, error: OSError) -> StoreError:
    if error.errno in _FULL:
        return StoreError(
            f"{root}: the disk is full.", cure="Make room and run again; finished trials wait in the agent's outbox."
        )
    if error.errno == errno.EROFS:
        return StoreError(f"{root}: the disk is read-only.", cure="Remount it, or name another --store.")
    return StoreError(
        f"{root}: cannot be written ({error.strerror}).", cure="Check its rights, or name another --store."
    )
