"""One stage of a run, on a cluster whose trials take no time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from coordinator.campaign import stage
from coordinator.campaign.campaign import CampaignResult
from coordinator.campaign.stage import run_stage
from coordinator.events.events import Event
from coordinator.store.writer import StoreWriter, open_store
from joulefleet.errors import JoulefleetError, SupersededError
from joulefleet.plan.trial import Trial
from tests.support.fake_cluster import FakeCluster
from tests.support.tiny_trials import tiny_pinned


def run(writer: StoreWriter, cluster: FakeCluster, **changes: Any) -> tuple[CampaignResult, list[Event], list[str]]:
    """Run the small study; return how it ended, its events and its notes."""
    events: list[Event] = []
    notes: list[str] = []
    options: dict[str, Any] = {"should_stop": lambda: False, "retry": frozenset(), "is_fleet": False}
    result = run_stage(cluster, writer, tiny_pinned(), on_event=events.append, note=notes.append, **(options | changes))
    return result, events, notes


def test_a_stage_runs_everything_and_removes_the_live_file(tmp_path: Path) -> None:
    """`status` must not show machines at work after the end."""
    with open_store(tmp_path, study="tiny") as writer:
        result, events, notes = run(writer, FakeCluster())
        assert (result.ok, result.missing, notes) == (8, 0, [])
        assert events
        assert not writer.layout.live_file.exists()


def test_the_store_is_compacted_between_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loose files would make every later scan slower."""
    monkeypatch.setattr(stage, "COMPACT_AT_LEAST", 2)
    with open_store(tmp_path, study="tiny") as writer:
        run(writer, FakeCluster())
        assert list(writer.layout.compacted.glob("*.parquet"))


def test_a_compaction_that_fails_does_not_end_the_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user is told, and the trials go on."""
    monkeypatch.setattr(stage, "COMPACT_AT_LEAST", 2)
    with open_store(tmp_path, study="tiny") as writer:
        writer.layout.manifest.symlink_to(tmp_path / "nowhere")  # reads as empty, cannot be created
        result, _, notes = run(writer, FakeCluster())
        assert result.ok == 8
        assert notes
        assert all(note.endswith("The study goes on.") for note in notes)


def test_agents_that_obey_a_later_coordinator_end_the_stage(tmp_path: Path) -> None:
    """If this store knows of none, it was restored from a backup; the next run uses a higher epoch."""

    def superseded(_trial: Trial, _start: int) -> JoulefleetError:
        return SupersededError("obeys another.", cure="Stop.", highest=7)

    with open_store(tmp_path, study="tiny") as writer, pytest.raises(SupersededError, match="restored from a backup"):
        run(writer, FakeCluster(superseded))
    with open_store(tmp_path, study="tiny") as writer:
        assert writer.epoch == 8


def test_a_run_that_is_no_fleet_waits_for_no_other_machine(tmp_path: Path) -> None:
    """Machines of an earlier run that have trials left are no part of it."""
    stops = iter([False] * 12)
    with open_store(tmp_path, study="tiny") as writer:
        run(writer, FakeCluster(machines=["machine", "gone"]), should_stop=lambda: next(stops, True))
        alone, _, _ = run(writer, FakeCluster())
    assert (alone.total, alone.missing, alone.not_back) == (8, 0, ())
