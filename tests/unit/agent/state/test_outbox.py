"""Finished attempts that the store does not hold yet."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow.parquet as pq

from agent.state.outbox import Outbox
from joulefleet.schema import ATTEMPT_SCHEMA, attempt_table
from tests.support.attempt_rows import attempt_row


def test_an_attempt_waits_until_it_is_acknowledged(tmp_path: Path) -> None:
    """A reported attempt may not be stored yet, so only the acknowledgement removes it."""
    outbox = Outbox(tmp_path, "store")
    outbox.put("t-r1-a1", attempt_table(attempt_row()))
    assert outbox.waiting() == ["t-r1-a1"]
    assert pq.read_schema(io.BytesIO(outbox.get("t-r1-a1"))).equals(ATTEMPT_SCHEMA)
    outbox.acknowledge("t-r1-a1")
    outbox.acknowledge("t-r1-a1")
    assert outbox.waiting() == []


def test_each_store_has_its_own_attempts(tmp_path: Path) -> None:
    """An attempt for one store is never offered to another."""
    Outbox(tmp_path, "one").put("t-r1-a1", attempt_table(attempt_row()))
    assert Outbox(tmp_path, "two").waiting() == []


def test_half_written_files_are_not_offered(tmp_path: Path) -> None:
    """The temporary file of an agent that died is not an attempt."""
    outbox = Outbox(tmp_path, "one")
    outbox.put("t-r1-a1", attempt_table(attempt_row()))
    (tmp_path / "one" / ".t-r1-a2.parquet.1.tmp").write_bytes(b"PAR1")
    assert outbox.waiting() == ["t-r1-a1"]
