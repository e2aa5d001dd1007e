"""The record of a node."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.cluster.ray.node.processes import ProcessKey
from coordinator.cluster.ray.node.state import NodeRecord, delete_record, read_record, write_record
from joulefleet.errors import MachineError


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    """`down` ends what it names, perhaps weeks later."""
    key = ProcessKey(pid=1, started=2, name="raylet")
    record = NodeRecord(
        boot_id="boot", head="h:1", folder="/f", session=3, raylet=key, processes=(key,), access={"RAY_USE_TLS": "1"}
    )
    assert read_record(tmp_path / "state") is None
    write_record(tmp_path / "state", record)
    assert read_record(tmp_path / "state") == record
    delete_record(tmp_path / "state")
    assert read_record(tmp_path / "state") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"processes": [{}]}'])
def test_a_record_that_is_damaged_is_an_error_with_a_cure(tmp_path: Path, text: str) -> None:
    """Nothing is ended by guess."""
    (tmp_path / "ray-node.json").write_text(text)
    with pytest.raises(MachineError, match="end them by hand"):
        read_record(tmp_path)
