"""The one writer of a store."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.state.outbox import parquet_bytes
from coordinator.store import writer as store_writer
from coordinator.store.attempts import fact_of
from coordinator.store.writer import open_store
from joulefleet.errors import StoreError
from joulefleet.store.compaction import compact
from joulefleet.store.records import StudyRecord, read_studies
from tests.support.attempt_rows import attempt_row, record_of, study_from


def record(repetitions: int) -> StudyRecord:
    """Return the record of the study `twelve` with so many `repetitions`."""
    return record_of(replace(study_from(), repetitions=repetitions))


def test_a_store_is_made_once_and_keeps_its_id(tmp_path: Path) -> None:
    """A second opening finds the same store."""
    with open_store(tmp_path / "store", study="one") as first:
        made = first.store_id
    with open_store(tmp_path / "store", study="two") as again:
        assert again.store_id == made


def test_a_second_writer_is_refused_and_told_of_the_first(tmp_path: Path) -> None:
    """The error names the process, its study and its epoch."""
    with (
        open_store(tmp_path / "store", study="first"),
        pytest.raises(StoreError, match=f"{os.getpid()} on .* .study first, .* epoch 1"),
        open_store(tmp_path / "store", study="second"),
    ):
        pass


def test_a_committed_attempt_never_changes(tmp_path: Path) -> None:
    """An agent commits again when the acknowledgement was lost."""
    with open_store(tmp_path / "store", study="one") as store:
        store.commit("t-r1-a1", b"first")
        store.commit("t-r1-a1", b"second")
        assert [path.read_bytes() for path in store.layout.attempts.iterdir()] == [b"first"]
        assert [path.name for path in store.layout.attempts.iterdir()] == ["t-r1-a1.parquet"]


def test_a_study_is_recorded_once_a_version(tmp_path: Path) -> None:
    """A resumed study adds no file, a changed one does."""
    with open_store(tmp_path / "store", study="one") as store:
        for repetitions, files in ((3, 1), (3, 1), (5, 2), (3, 3)):
            store.record_study(record(repetitions))
            assert len(list(store.layout.studies.iterdir())) == files
        assert read_studies(store.layout)[-1].digest == record(3).digest


def test_a_folder_with_other_things_in_it_is_not_taken_for_a_store(tmp_path: Path) -> None:
    """A mistyped --store must not fill another folder."""
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(StoreError, match="other files"), open_store(tmp_path, study="one"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_not_a_store(tmp_path: Path) -> None:
    """The file is left as it is."""
    (tmp_path / "store").write_text("mine")
    with pytest.raises(StoreError, match="a file, not a store"), open_store(tmp_path / "store", study="one"):
        pass
    assert (tmp_path / "store").read_text() == "mine"


def test_a_store_of_a_newer_layout_is_refused_untouched(tmp_path: Path) -> None:
    """This version can neither read nor write it."""
    with open_store(tmp_path / "store", study="one") as store:
        layout = store.layout
    layout.format_file.write_text(json.dumps({"layout": 99, "store_id": "x"}))
    with pytest.raises(StoreError, match="newer Joulefleet"), open_store(tmp_path / "store", study="one"):
        pass


def test_a_folder_that_cannot_be_written_is_refused_before_anything_runs(tmp_path: Path) -> None:
    """A trial takes minutes, and its row would be lost after it."""
    with open_store(tmp_path / "store", study="one") as store:
        attempts = store.layout.attempts
    attempts.rmdir()
    attempts.symlink_to("/proc/self/task")
    with pytest.raises(StoreError, match="cannot be written"), open_store(tmp_path / "store", study="one"):
        pass


def test_a_full_disk_is_reported_and_nothing_half_written_is_left(tmp_path: Path) -> None:
    """The error says that the disk is full, and how to go on."""
    with open_store(tmp_path / "store", study="one") as store:
        temporary = store.layout.attempts / f".t-r1-a1.parquet.{os.getpid()}.tmp"
        temporary.symlink_to("/dev/full")
        with pytest.raises(StoreError, match=r"disk is full.*outbox"):
            store.commit("t-r1-a1", b"data")
        assert list(store.layout.attempts.iterdir()) == []


def test_the_newest_record_is_the_last_even_where_the_clock_was_set_back(tmp_path: Path) -> None:
    """Otherwise an older study would count as the current one."""
    with open_store(tmp_path / "store", study="one") as store:
        store.record_study(replace(record(3), requested_at=datetime(2100, 1, 1, tzinfo=UTC)))
    with open_store(tmp_path / "store", study="one") as store:
        store.record_study(record(5))
    with open_store(tmp_path / "store", study="one") as store:
        last = store.last_record("twelve")
        assert last is not None
        assert last.digest == record(5).digest


def test_a_damaged_record_is_named_with_a_cure(tmp_path: Path) -> None:
    """A run ends with one line, not with a traceback."""
    with open_store(tmp_path / "store", study="one") as store:
        (store.layout.studies / "one-broken.json").write_text("{")
        with pytest.raises(
            StoreError, match=r"one-broken\.json: damaged, or not the record of a study.* Restore it from a copy"
        ):
            store.last_record("one")


def test_a_second_commit_makes_the_name_of_the_first_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit may have died between rename and fsync; the agent removes its copy only after this one."""
    synced: list[Path] = []
    with open_store(tmp_path / "store", study="one") as store:
        (store.layout.attempts / "t-r1-a1.parquet").write_bytes(b"row")
        monkeypatch.setattr(store_writer, "sync_folder", synced.append)
        store.commit("t-r1-a1", b"row")
        assert synced == [store.layout.attempts]


def test_a_restored_store_says_so_and_goes_above_what_agents_have_obeyed(tmp_path: Path) -> None:
    """Where the store knows of a later coordinator, there is no error: that one commands."""
    with open_store(tmp_path / "store", study="one") as store:
        error = store.superseded_error(12)
        assert error is not None
        assert "restored from a backup" in str(error)
    with open_store(tmp_path / "store", study="one") as store:
        assert store.epoch == 13
        (store.layout.epochs / "14").write_text("{}")
        assert store.superseded_error(14) is None


def test_a_file_system_without_locks_is_an_error_with_a_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems have none."""

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(StoreError, match="has no locks"), open_store(tmp_path / "store", study="one"):
        pass


def test_what_a_superseded_coordinator_has_committed_and_compacted_is_found(tmp_path: Path) -> None:
    """Otherwise a trial would run again that another coordinator has measured."""
    known, later = attempt_row(trial_id="known", attempt_id="known-r1-a1"), attempt_row(trial_id="later")
    with open_store(tmp_path / "store", study="one") as store:
        store.commit("known-r1-a1", parquet_bytes(known))
        compact(store.layout)
        assert len(store.attempts(known["study"])) == 1
        assert store.find(later["attempt_id"]) is None
        for row in (later, attempt_row(trial_id="and another")):
            store.commit(row["attempt_id"], parquet_bytes(row))
        compact(store.layout)
        assert not list(store.layout.attempts.glob("*.parquet"))
        found = store.find(later["attempt_id"])
        assert found is not None
        assert fact_of(found) == fact_of(parquet_bytes(later))
        assert store.find("never-r1-a1") is None


def test_a_new_volume_is_an_empty_folder(tmp_path: Path) -> None:
    """A new file system has a lost+found in it."""
    (tmp_path / "lost+found").mkdir()
    with open_store(tmp_path, study="tiny"):
        pass
    assert (tmp_path / "format.json").exists()
