"""Which files of a store count at one moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from joulefleet.errors import StoreError
from joulefleet.store.compaction import compact
from joulefleet.store.layout import StoreLayout
from joulefleet.store.snapshot import SnapshotReader, names_in, parquet_names
from tests.support.attempt_rows import attempt_row, write_attempt, write_compacted, write_store


@pytest.fixture
def layout(tmp_path: Path) -> StoreLayout:
    """Two attempts that are compacted, and one that is not."""
    root = write_store(tmp_path / "s", [attempt_row(trial_id="a"), attempt_row(trial_id="b")])
    compact(StoreLayout(root))
    write_attempt(root, attempt_row(trial_id="c"))
    return StoreLayout(root)


def names(paths: tuple[str, ...]) -> list[str]:
    """Return the names of the files at `paths`."""
    return [Path(path).name for path in paths]


def test_loose_and_compacted_files_count(layout: StoreLayout) -> None:
    """An attempt that is in both counts as compacted."""
    write_attempt(layout.root, attempt_row(trial_id="b"))
    snapshot = SnapshotReader(layout).read()
    assert names(snapshot.loose) == ["c-r1-a1.parquet"]
    assert names(snapshot.compacted) == parquet_names(layout.compacted)


def test_a_reader_sees_what_has_changed(layout: StoreLayout) -> None:
    """Only what never changes is remembered."""
    reader = SnapshotReader(layout)
    before = reader.read()
    assert reader.read() == before
    compact(layout)
    after = reader.read()
    assert after.loose == ()
    assert len(after.compacted) == 2


def test_a_file_without_a_manifest_counts_if_it_holds_something_new(layout: StoreLayout) -> None:
    """A copy of what others hold does not."""
    file = write_compacted(layout.root, [attempt_row(trial_id="a"), attempt_row(trial_id="b")])
    assert str(file) not in SnapshotReader(layout).read().compacted
    file = write_compacted(layout.root, [attempt_row(trial_id="c"), attempt_row(trial_id="d")])
    reader = SnapshotReader(layout)
    assert str(file) in reader.read().compacted
    assert reader.read().loose == ()
    assert reader.attempt_ids(file.name) == {"c-r1-a1", "d-r1-a1"}
    assert reader.manifests()[1] == [file.name]


def test_a_store_without_folders_is_empty(tmp_path: Path) -> None:
    """A run makes them when it needs them."""
    snapshot = SnapshotReader(StoreLayout(tmp_path)).read()
    assert (snapshot.loose, snapshot.compacted) == ((), ())


def test_names_are_sorted_and_hidden_ones_left_out(tmp_path: Path) -> None:
    """A temporary file begins with a dot."""
    for name in ("b.json", "a.json", ".c.json", "d.txt"):
        (tmp_path / name).write_text("")
    assert names_in(tmp_path, ".json") == ["a.json", "b.json"]
    with pytest.raises(StoreError, match=r"a\.json: Not a directory"):
        names_in(tmp_path / "a.json", ".json")
