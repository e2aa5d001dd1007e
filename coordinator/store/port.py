"""What a store is to the campaign: what it holds of a study, and where rows and records go durably."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from coordinator.scheduling.attempt import AttemptFact


class CampaignStore(Protocol):
    """One writer at a time. Whatever a method that writes has returned from is durable."""

    store_id: str

    def attempts(self, study: str) -> list[AttemptFact]:
        """Every attempt of `study` that it holds. Raises StoreError."""
        ...

    def find(self, attempt_id: str) -> bytes | None:
        """The file of one attempt, if it holds it. Raises StoreError."""
        ...

    def commit(self, attempt_id: str, parquet: bytes) -> None:
        """Put an attempt's file into the store. Doing it again changes nothing. Raises StoreError."""
        ...

    def last_record(self, study: str) -> dict[str, Any]:
        """The newest record of the study called `study`; empty where there is none."""
        ...

    def record_study(self, record: dict[str, Any]) -> None:
        """Keep a study as it was asked and resolved, unless it is what was asked last. Raises StoreError."""
        ...

    def record_plan(self, study: str, place: str, protocols: Sequence[str]) -> None:
        """Keep by which protocols `place` measures `study` now. Raises StoreError."""
        ...
