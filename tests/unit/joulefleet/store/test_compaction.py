"""Compaction of a store, step by step."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from joulefleet.errors import StoreError
from joulefleet.query import Store
from joulefleet.schema import attempt_table
from joulefleet.store.compaction import MANY_SMALL, Compacted, compact
from joulefleet.store.layout import StoreLayout
from tests.support.attempt_rows import attempt_row, failed_row, write_attempt, write_compacted, write_store
from tests.support.compaction_crashes import CrashAt, CrashError, attempts_of, files_of
from tests.support.full_disk import no_file_longer_than


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Make a store of five attempts, one of which failed."""
    rows = [attempt_row(trial_id=str(number), block=number, labels={"n": str(number)}) for number in range(4)]
    return write_store(tmp_path / "s", [*rows, failed_row(trial_id="bad")])


def names(folder: Path) -> list[str]:
    """Return the names in `folder`."""
    return sorted(path.name for path in folder.iterdir())


def test_attempts_are_the_same_after_compaction(store: Path) -> None:
    """Each attempt counts once with every value of every column, and the loose files are removed."""
    before = attempts_of(store)
    assert compact(StoreLayout(store)) == Compacted(attempts=5, files=1, merged=0)
    assert attempts_of(store) == before
    assert names(store / "attempts") == []
    assert [len(names(store / folder)) for folder in ("compacted", "manifest")] == [1, 1]


def test_compacting_again_changes_nothing(store: Path) -> None:
    """A second compaction has nothing to do."""
    compact(StoreLayout(store))
    before = files_of(store)
    assert compact(StoreLayout(store)) == Compacted(attempts=0, files=0, merged=0)
    assert files_of(store) == before


def test_few_attempts_are_left_alone(store: Path) -> None:
    """A coordinator compacts between blocks, where few attempts are not worth the time."""
    assert compact(StoreLayout(store), at_least=6) == Compacted(attempts=0, files=0, merged=0)
    assert len(names(store / "attempts")) == 5
    assert compact(StoreLayout(store), at_least=5).attempts == 5


def test_a_store_opened_before_sees_compacted_attempts(store: Path) -> None:
    """The folder of compacted files was empty when the store was opened."""
    with Store.open(store) as opened:
        compact(StoreLayout(store))
        write_attempt(store, attempt_row(trial_id="later"))
        assert opened.arrow("select count(*) n from attempts").to_pylist() == [{"n": 6}]
        assert sum(batch.num_rows for batch in opened.batches("from attempts")[1]) == 6
        assert opened.sql("from attempts").to_arrow_table().num_rows == 6


def test_every_crash_leaves_each_attempt_once(tmp_path: Path, store: Path) -> None:
    """After a crash at any step, a reader sees every attempt, and the next compaction finishes the work."""
    before = attempts_of(store)
    number, finished = 0, False
    while not finished:
        crashed = tmp_path / f"crash{number}"
        shutil.copytree(store, crashed)
        try:
            compact(StoreLayout(crashed), on_step=CrashAt(number))
            finished = True
        except CrashError:
            assert attempts_of(crashed) == before
            compact(StoreLayout(crashed))
        assert attempts_of(crashed) == before
        assert names(crashed / "attempts") == []
        assert len(names(crashed / "manifest")) == 1
        number += 1
    assert number > 5 + 4


def test_small_files_are_merged_and_a_crash_in_it_leaves_each_attempt_once(tmp_path: Path) -> None:
    """After a crash at any step of a merge, each attempt counts once."""
    store = write_store(tmp_path / "s", [])
    for number in range(MANY_SMALL):
        write_attempt(store, attempt_row(trial_id=f"{7 * number % 10}"))
        if number < MANY_SMALL - 1:
            compact(StoreLayout(store))
    before = attempts_of(store)
    assert len(before) == MANY_SMALL
    whole = CrashAt(None)
    shutil.copytree(store, tmp_path / "whole")
    assert compact(StoreLayout(tmp_path / "whole"), on_step=whole).merged == MANY_SMALL
    assert attempts_of(tmp_path / "whole") == before
    first_removed = len(whole.steps) - whole.steps[::-1].index("recorded")
    for number in (*range(first_removed + 3), len(whole.steps) - 1):
        crashed = tmp_path / f"crash{number}"
        shutil.copytree(store, crashed)
        with pytest.raises(CrashError):
            compact(StoreLayout(crashed), on_step=CrashAt(number))
        assert attempts_of(crashed) == before
        compact(StoreLayout(crashed))
        assert attempts_of(crashed) == before
        assert len(names(crashed / "compacted")) == len(names(crashed / "manifest")) == 1


def test_merged_files_are_remembered(tmp_path: Path) -> None:
    """A manifest also names the files that were merged earlier, as a published copy may still have them."""
    store = write_store(tmp_path / "s", [])
    for number in range(2 * MANY_SMALL - 1):
        write_attempt(store, attempt_row(trial_id=str(number)))
        compact(StoreLayout(store))
    (manifest,) = (store / "manifest").iterdir()
    assert len(json.loads(manifest.read_bytes())["replaces"]) == 2 * MANY_SMALL


def test_attempt_that_is_committed_again_is_removed(store: Path) -> None:
    """An agent sends an attempt again when the acknowledgement was lost."""
    file = store / "attempts" / "2-r1-a1.parquet"
    data = file.read_bytes()
    before = attempts_of(store)
    compact(StoreLayout(store))
    file.write_bytes(data)
    assert attempts_of(store) == before
    compact(StoreLayout(store))
    assert not file.exists()
    assert attempts_of(store) == before


def test_loose_file_that_differs_from_its_compacted_row_is_kept_and_named(store: Path) -> None:
    """The compacted row counts, and the loose file is not removed as a copy."""
    before = attempts_of(store)
    compact(StoreLayout(store))
    other = write_attempt(store, attempt_row(trial_id="2", window_s=3.0))
    assert attempts_of(store) == before
    with pytest.raises(StoreError, match=r"2-r1-a1\.parquet: differs from the same attempt"):
        compact(StoreLayout(store))
    assert other.exists()


def test_lost_manifest_is_made_again(store: Path) -> None:
    """The compacted file counts without a manifest, as no other file holds its attempts."""
    before = attempts_of(store)
    compact(StoreLayout(store))
    (manifest,) = (store / "manifest").iterdir()
    text = manifest.read_bytes()
    manifest.unlink()
    assert attempts_of(store) == before
    compact(StoreLayout(store))
    assert manifest.read_bytes() == text


def test_compacted_file_from_elsewhere_is_checked_and_adopted(tmp_path: Path) -> None:
    """It gets a manifest, and loose files that equal its rows are removed."""
    rows = [attempt_row(trial_id=str(number)) for number in range(4)]
    store = write_store(tmp_path / "s", rows[:2])
    write_compacted(store, rows[1:])
    before = attempts_of(store)
    assert len(before) == 4
    compact(StoreLayout(store))
    assert attempts_of(store) == before
    assert "part.json" in names(store / "manifest")
    assert names(store / "attempts") == []


def test_compacted_file_that_shares_attempts_is_named(store: Path) -> None:
    """An attempt of it would count twice, or one of them would be missing."""
    compact(StoreLayout(store))
    write_compacted(store, [attempt_row(trial_id="2"), attempt_row(trial_id="new")])
    for ask in (lambda: attempts_of(store), lambda: compact(StoreLayout(store))):
        with pytest.raises(StoreError, match=r"part\.parquet: holds attempts that other compacted files hold"):
            ask()


def test_foreign_files_are_left_where_they_are(store: Path) -> None:
    """Notes, hidden files and a copy of a compacted file stay."""
    compact(StoreLayout(store))
    (compacted,) = (store / "compacted").iterdir()
    shutil.copy(compacted, store / "compacted" / "copy of it.parquet")
    for folder in ("attempts", "compacted", "manifest"):
        (store / folder / "notes.txt").write_text("mine")
        (store / folder / ".hidden").write_text("mine")
    before, rows = files_of(store), attempts_of(store)
    write_attempt(store, attempt_row(trial_id="one more"))
    compact(StoreLayout(store))
    assert before.items() <= files_of(store).items()
    assert len(attempts_of(store)) == len(rows) + 1


def test_what_a_dead_process_left_is_swept(store: Path) -> None:
    """Temporary files in every folder and the spill folder are removed."""
    compact(StoreLayout(store))
    before = files_of(store)
    for name in ("attempts/.x.parquet.1.tmp", "compacted/.part.parquet.12.tmp", "manifest/.x.json.3.tmp"):
        (store / name).write_bytes(b"half")
    (store / ".compaction").mkdir()
    (store / ".compaction" / "spilled").write_bytes(b"half")
    compact(StoreLayout(store))
    assert files_of(store) == before


@pytest.mark.parametrize("at", ["end", "middle"])
def test_torn_compacted_file_is_named(store: Path, at: str) -> None:
    """The error says how many attempts it held; no query or compaction goes on without them."""
    compact(StoreLayout(store))
    (file,) = (store / "compacted").iterdir()
    data = file.read_bytes()
    file.write_bytes(data[:-100] if at == "end" else data[: len(data) // 2])
    for ask in (lambda: attempts_of(store), lambda: compact(StoreLayout(store))):
        with pytest.raises(StoreError, match=rf"{file.name}: torn .* it held 5 attempts"):
            ask()


def test_torn_compacted_file_without_manifest_is_named(store: Path) -> None:
    """The disk lost the end of a file that was just written; the loose files are still there."""
    with pytest.raises(CrashError):
        compact(StoreLayout(store), on_step=CrashAt(2))
    (file,) = (store / "compacted").iterdir()
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(StoreError, match=f"{file.name}: torn"):
        compact(StoreLayout(store))
    file.unlink()
    assert len(attempts_of(store)) == 5


def test_missing_compacted_file_is_named(store: Path) -> None:
    """Lost rows are an error, never left out silently."""
    compact(StoreLayout(store))
    (file,) = (store / "compacted").iterdir()
    file.unlink()
    with pytest.raises(StoreError, match=rf"{file.name}: missing; it held 5 attempts\. Restore"):
        attempts_of(store)


@pytest.mark.parametrize("text", ["{", "[]", '{"manifest": 1}', '{"manifest": 2, "file": "x.parquet"}'])
def test_damaged_manifest_is_named(store: Path, text: str) -> None:
    """The error names the file and the damage."""
    compact(StoreLayout(store))
    (manifest,) = (store / "manifest").iterdir()
    manifest.write_text(text)
    with pytest.raises(StoreError, match=f"{manifest.name}: damaged"):
        attempts_of(store)


def test_manifest_cannot_lead_out_of_the_store(store: Path) -> None:
    """The file of a manifest is a name, not a path."""
    compact(StoreLayout(store))
    (manifest,) = (store / "manifest").iterdir()
    data = json.loads(manifest.read_bytes())
    manifest.write_text(json.dumps(data | {"file": "../../other.parquet"}))
    with pytest.raises(StoreError, match="not named for its file"):
        attempts_of(store)


def test_torn_loose_file_is_named_and_nothing_is_removed(store: Path) -> None:
    """The other attempts stay as they are."""
    (store / "attempts" / "torn.parquet").write_bytes(b"PAR1 torn")
    before = files_of(store)
    with pytest.raises(StoreError, match=r"torn\.parquet"):
        compact(StoreLayout(store))
    assert files_of(store) == before


def test_loose_file_of_several_rows_is_named(store: Path) -> None:
    """A file with two rows would count as two attempts."""
    row = attempt_row(trial_id="2")
    two = attempt_table(row)
    pq.write_table(pa.concat_tables([two, two]), store / "attempts" / f"{row['attempt_id']}.parquet")
    with pytest.raises(StoreError, match="holds 2 attempts instead of one"):
        compact(StoreLayout(store))


def test_full_disk_loses_nothing_and_says_so(store: Path) -> None:
    """No file is half written and none is removed."""
    before = files_of(store)
    with no_file_longer_than(5000), pytest.raises(StoreError, match=r"No attempt was lost or moved\. Make room"):
        compact(StoreLayout(store))
    assert files_of(store) == before
    compact(StoreLayout(store))
    assert len(attempts_of(store)) == 5


@pytest.mark.parametrize("lacking", [[], ["flags"]])
def test_rows_of_another_version_are_not_compacted(store: Path, lacking: list[str]) -> None:
    """The error names the file, and every file stays."""
    table = attempt_table(attempt_row(trial_id="old", schema_version=3)).drop_columns(lacking)
    pq.write_table(table, store / "attempts" / "old-r1-a1.parquet")
    before = files_of(store)
    with pytest.raises(StoreError, match=r"old-r1-a1\.parquet: written by an older Joulefleet"):
        compact(StoreLayout(store))
    assert files_of(store) == before


def test_a_compacted_file_of_another_version_is_not_adopted(store: Path) -> None:
    """A file from elsewhere is checked before it gets a manifest."""
    write_compacted(store, [attempt_row(trial_id="old", schema_version=3)])
    with pytest.raises(StoreError, match=r"part\.parquet: written by an older Joulefleet"):
        compact(StoreLayout(store))
    assert names(store / "manifest") == []
