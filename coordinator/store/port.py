"""The interface through which the campaign reads and writes the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from coordinator.scheduling.attempt import AttemptFact
from joulefleet.store.records import StudyRecord


class CampaignStore(Protocol):
    """What a campaign needs of a store. `StoreWriter` implements it on disk, the tests in memory.

    The campaign owns it while it runs and is its only writer. It calls `attempts` once, at the start;
    then the other methods in any order, from one thread. When a method that writes has returned, what it
    wrote survives a crash of the process and of the machine. Every method raises StoreError where the
    store cannot be read or written, for example because the disk is full; nothing is half written then,
    and the call may be repeated.
    """

    store_id: str
    """Identity of the store; agents keep attempts of several stores apart by it."""

    def attempts(self, study: str) -> list[AttemptFact]:
        """Return every attempt of `study` in the store, also those of earlier runs."""
        ...

    def find(self, attempt_id: str) -> bytes | None:
        """Return the Parquet file of one attempt; None where the store does not hold it."""
        ...

    def commit(self, attempt_id: str, parquet: bytes) -> None:
        """Store the Parquet file of an attempt. A second commit of the same attempt changes nothing."""
        ...

    def last_record(self, study: str) -> StudyRecord | None:
        """Return the newest record of the study called `study`; None where there is none."""
        ...

    def record_study(self, record: StudyRecord) -> None:
        """Store `record`, unless the newest record of the same study has the same digest."""
        ...

    def record_plan(self, study: str, place: str, protocols: Sequence[str]) -> None:
        """Store the protocols by which `place` measures `study` now, in place of earlier ones."""
        ...
