"""What every store promises a campaign, checked on the store on disk and on the one in memory that tests use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.state.outbox import parquet_bytes
from coordinator.store.attempts import fact_of
from coordinator.store.port import CampaignStore
from coordinator.store.writer import open_store
from tests.support.attempt_rows import STARTED, attempt_row, record_of, study_from
from tests.support.simulated_cluster import Disk, MemoryStore


@pytest.fixture(params=["disk", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CampaignStore]:
    """An empty store."""
    if request.param == "disk":
        with open_store(tmp_path / "store", study="fake") as writer:
            yield writer
    else:
        yield MemoryStore(Disk(), danger=lambda: None, full=lambda: False)


def test_a_committed_attempt_is_found_and_is_among_the_attempts(store: CampaignStore) -> None:
    """A restart knows from them what is left to do."""
    data = parquet_bytes(attempt_row())
    assert store.attempts("fake") == []
    assert store.find(fact_of(data).attempt_id) is None
    store.commit(fact_of(data).attempt_id, data)
    assert store.find(fact_of(data).attempt_id) == data
    assert store.attempts("fake") == [fact_of(data)]


def test_a_second_commit_of_an_attempt_changes_nothing(store: CampaignStore) -> None:
    """It comes after an acknowledgement that was lost."""
    first, second = parquet_bytes(attempt_row()), parquet_bytes(attempt_row(window_s=3.0))
    for data in (first, second):
        store.commit(fact_of(data).attempt_id, data)
    assert store.find(fact_of(first).attempt_id) == first


def test_the_last_record_of_a_study_is_the_one_that_was_recorded_last(store: CampaignStore) -> None:
    """The same request again keeps the time of the first."""
    assert store.last_record("twelve") is None
    three = record_of(study_from())
    five = record_of(replace(study_from(), repetitions=5), requested_at=STARTED + timedelta(days=1))
    again = replace(five, requested_at=STARTED + timedelta(days=2))
    for record, requested_at in ((three, three.requested_at), (five, five.requested_at), (again, five.requested_at)):
        store.record_study(record)
        last = store.last_record("twelve")
        assert last is not None
        assert (last.digest, last.requested_at) == (record.digest, requested_at)
    assert store.last_record("another") is None


def test_a_plan_may_be_recorded_again(store: CampaignStore) -> None:
    """The newest protocols of a place count."""
    for protocols in (["p"], ["p", "q"], ["p", "q"]):
        store.record_plan("fake", "machine-1", protocols)
