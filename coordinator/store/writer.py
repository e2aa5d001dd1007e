"""The one writer of a store: creates it, holds its lock, and commits attempts to it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from coordinator.scheduling.attempt import AttemptFact
from coordinator.store.attempts import facts_in, one_attempt
from coordinator.store.lock_holder import StoreCoordinator, read_holder, write_holder
from joulefleet.digest import digest
from joulefleet.durable import sync_folder, write_durably
from joulefleet.errors import StoreError, SupersededError
from joulefleet.locks import try_lock
from joulefleet.store.layout import StoreLayout, format_bytes, is_empty, read_format
from joulefleet.store.manifest import read_manifest
from joulefleet.store.records import StudyRecord, newest, read_studies

_FULL = (errno.ENOSPC, errno.EDQUOT)
_LOCK_TRIES = 20


class StoreWriter:
    """Writes attempts, studies and plans to one store; implements `CampaignStore`.

    Only `open_store` makes one. It holds the store's lock for as long as the writer exists, so there is
    one writer for each store. The process that opened the store owns it and calls it from one thread.
    `attempts` comes before `find`; the other methods may come in any order. When a method that writes has
    returned, what it wrote is durable. Each method raises StoreError where the store cannot be read or
    written, and leaves nothing half written.
    """

    def __init__(self, layout: StoreLayout, store_id: str, epoch: int) -> None:
        self.layout = layout
        self.store_id = store_id
        self.epoch = epoch
        """Number of this coordinator. Agents obey the coordinator with the highest epoch."""
        self._records: dict[str, StudyRecord] | None = None
        self._compacted: dict[str, frozenset[str]] = {}
        """Attempts of each manifest that is newer than the last call of `attempts`."""
        self._read: frozenset[str] = frozenset()
        """Manifests that existed at the last call of `attempts`."""

    def attempts(self, study: str) -> list[AttemptFact]:
        """Return every attempt of `study` in the store."""
        self._read = frozenset(self._manifests())
        return facts_in(self.layout.root, study)

    def find(self, attempt_id: str) -> bytes | None:
        """Return the file of an attempt that was committed after `attempts` was called; None where there is none."""
        try:
            return (self.layout.attempts / f"{attempt_id}.parquet").read_bytes()
        except FileNotFoundError:
            return self._find_compacted(attempt_id)
        except OSError as error:
            raise _write_error(self.layout.root, error) from error

    def _find_compacted(self, attempt_id: str) -> bytes | None:
        """Look for an attempt that a coordinator, since superseded, has committed and compacted."""
        for name in self._manifests():
            if name not in self._read and name not in self._compacted:
                with contextlib.suppress(FileNotFoundError):
                    self._compacted[name] = frozenset(read_manifest(self.layout.manifest / name).attempts)
        for name, attempts in self._compacted.items():
            if attempt_id in attempts:
                with contextlib.suppress(FileNotFoundError):
                    # A file that does not exist any more was merged into another, which has a manifest too.
                    return one_attempt(self.layout.compacted / name.replace(".json", ".parquet"), attempt_id)
        return None

    def _manifests(self) -> list[str]:
        try:
            return [path.name for path in self.layout.manifest.iterdir() if path.suffix == ".json"]
        except FileNotFoundError:
            return []

    def commit(self, attempt_id: str, parquet: bytes) -> None:
        """Store the file of an attempt durably. A second commit of the same attempt changes nothing."""
        path = self.layout.attempts / f"{attempt_id}.parquet"
        try:
            if path.exists():
                # The name may not be durable yet: its writer may have died between rename and fsync.
                sync_folder(path.parent)
            else:
                write_durably(path, parquet)
        except OSError as error:
            raise _write_error(self.layout.root, error) from error

    def record_study(self, record: StudyRecord) -> None:
        """Store `record`, unless the newest record of the same study has the same digest."""
        last = self.last_record(record.name)
        if last is not None:
            if last.digest == record.digest:
                return
            # The last record stays the newest also where the clock was set back meanwhile.
            record = replace(
                record, requested_at=max(record.requested_at, last.requested_at + timedelta(microseconds=1))
            )
        path = self.layout.studies / f"{record.name}-{record.requested_at:%Y%m%dT%H%M%S%f}.json"
        try:
            write_durably(path, record.to_json())
        except OSError as error:
            raise _write_error(self.layout.root, error) from error
        self._newest()[record.name] = record

    def record_plan(self, study: str, place: str, protocols: Sequence[str]) -> None:
        """Store the protocols by which `place` measures `study` now, in place of earlier ones."""
        data = {"study": study, "place": place, "protocols": sorted(set(protocols))}
        try:
            self.layout.plans.mkdir(exist_ok=True)
            file = self.layout.plans / f"{digest([study, place])}.json"
            content = json.dumps(data, indent=1, ensure_ascii=False).encode()
            if not file.exists() or file.read_bytes() != content:
                write_durably(file, content)
        except OSError as error:
            raise _write_error(self.layout.root, error) from error

    def last_record(self, study: str) -> StudyRecord | None:
        """Return the newest record of the study called `study`; None where there is none."""
        return self._newest().get(study)

    def _newest(self) -> dict[str, StudyRecord]:
        """Return the newest record of each study. They are read once, as nobody else writes."""
        if self._records is None:
            self._records = newest(read_studies(self.layout))
        return self._records

    def superseded_error(self, highest: int) -> SupersededError | None:
        """Return the error for agents that obey the epoch `highest`, which is above every epoch of this store.

        The next run takes a higher epoch than `highest`. Returns None where the store has an epoch above
        this coordinator's: then that coordinator commands the agents.
        """
        try:
            if _last_epoch(self.layout.epochs) > self.epoch:
                return None
            write_durably(self.layout.epochs / str(highest), b'{"heard of": "from an agent"}')
        except OSError as error:
            raise _write_error(self.layout.root, error) from error
        return SupersededError(
            f"{self.layout.root}: the agents have obeyed a coordinator of this store with epoch {highest}, and this "
            f"store has none above {self.epoch}: it was restored from a backup, or is a copy.",
            cure="If no other run of this store or its copies is alive, run again: it will command the agents then.",
            highest=highest,
        )


@contextmanager
def open_store(root: Path, *, study: str) -> Iterator[StoreWriter]:
    """Open the store at `root` for writing by a run of `study`; create it where nothing exists.

    Raises StoreError where it cannot be written, is no store, or another run writes to it.
    """
    layout = StoreLayout(root)
    _create_or_check(layout)
    try:
        descriptor = os.open(layout.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _write_error(root, error) from error
    try:
        if not _lock(descriptor, root):
            raise StoreError(
                f"{root}: {_holder_text(descriptor)} writes to this store.",
                cure="Wait for it (`joulefleet status --watch`), or name another --store.",
            )
        since = datetime.now(tz=UTC).isoformat()
        holder = StoreCoordinator(hostname=platform.node(), pid=os.getpid(), study=study, since=since)
        try:
            epoch = _new_epoch(layout.epochs, asdict(holder))
            write_holder(descriptor, replace(holder, epoch=epoch))
        except OSError as error:
            raise _write_error(root, error) from error
        # Read again under the lock: two first runs may have created the store at the same moment.
        yield StoreWriter(layout, read_format(layout), epoch)
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _new_epoch(folder: Path, holder: Mapping[str, object]) -> int:
    """Create the next epoch's file in `folder` exclusively, so that two coordinators never have the same epoch.

    This holds also on a file system whose locks do not work.
    """
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


def _lock(descriptor: int, root: Path) -> bool:
    """Take the store's lock; False where another run holds it. Raises StoreError where there are no locks.

    `joulefleet status` holds the lock for microseconds to see whether it is free, so it is tried again.
    """
    try:
        for _ in range(_LOCK_TRIES):
            if try_lock(descriptor):
                return True
            time.sleep(0.01)
    except OSError as error:
        raise StoreError(
            f"{root}: its file system has no locks ({error.strerror}).",
            cure="Put the store on a local disk; `joulefleet publish` copies it elsewhere.",
        ) from error
    return False


def _create_or_check(layout: StoreLayout) -> None:
    root = layout.root
    if root.is_dir() and not layout.format_file.exists() and not is_empty(root):
        raise StoreError(
            f"{root}: a folder with other files in it, and no store.", cure="Name an empty or a new folder."
        )
    if root.exists() and layout.format_file.exists():
        read_format(layout)
    elif root.exists() and not root.is_dir():
        raise StoreError(f"{root}: a file, not a store.", cure="Name a folder with --store.")
    else:
        try:
            root.mkdir(parents=True, exist_ok=True)
            write_durably(layout.format_file, format_bytes(uuid.uuid4().hex))
        except OSError as error:
            raise _write_error(root, error) from error
    try:
        for folder in (layout.attempts, layout.studies):
            folder.mkdir(exist_ok=True)
        _try_to_write(layout.attempts)
    except OSError as error:
        raise _write_error(root, error) from error


def _try_to_write(folder: Path) -> None:
    """Raise OSError before the first trial where rows cannot be stored: a trial is minutes of work."""
    probe = folder / f".probe.{os.getpid()}.tmp"
    try:
        probe.write_bytes(b"\0" * 65536)
    finally:
        probe.unlink(missing_ok=True)


def _holder_text(descriptor: int) -> str:
    holder = read_holder(descriptor)
    if holder.pid is None:
        return "another run"
    return (
        f"process {holder.pid} on {holder.hostname} (study {holder.study}, since {holder.since}, epoch {holder.epoch})"
    )


def _write_error(root: Path, error: OSError) -> StoreError:
    if error.errno in _FULL:
        return StoreError(
            f"{root}: the disk is full.", cure="Make room and run again; finished trials wait in the agent's outbox."
        )
    if error.errno == errno.EROFS:
        return StoreError(f"{root}: the disk is read-only.", cure="Remount it, or name another --store.")
    return StoreError(
        f"{root}: cannot be written ({error.strerror}).", cure="Check its rights, or name another --store."
    )
