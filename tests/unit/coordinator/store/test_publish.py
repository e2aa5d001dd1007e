"""Publishing a store to a folder that is named by its address."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from coordinator.store.publish import Published, publish
from joulefleet.errors import StoreError
from joulefleet.store.compaction import MANY_SMALL, Step, compact
from joulefleet.store.layout import StoreLayout, format_bytes
from tests.support.attempt_rows import attempt_row, study_from, write_attempt, write_store
from tests.support.compaction_crashes import attempts_of, files_of


@pytest.fixture
def store(tmp_path: Path) -> StoreLayout:
    """Three compacted attempts, and one that is not."""
    root = write_store(tmp_path / "s", [attempt_row(trial_id=str(n)) for n in range(3)], study_from())
    compact(StoreLayout(root))
    write_attempt(root, attempt_row(trial_id="loose"))
    return StoreLayout(root)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """The folder that is published to."""
    return tmp_path / "published"


def test_what_is_compacted_is_copied_and_the_rest_is_counted(store: StoreLayout, target: Path) -> None:
    """A file that is there already is kept."""
    first = publish(store, f"file://{target}")
    sent = sum(len(data) for data in files_of(target).values())
    assert first == Published(
        uri=f"file://{target}", attempts=3, sent_files=4, sent_bytes=sent, kept_files=0, not_compacted=1
    )
    assert files_of(target) == {
        name: data for name, data in files_of(store.root).items() if not name.startswith("attempts/")
    }
    again = publish(store, f"file://{target}")
    assert (again.sent_files, again.sent_bytes, again.kept_files) == (0, 0, 4)


def test_a_plan_that_has_changed_is_sent_again(store: StoreLayout, target: Path) -> None:
    """Other small files are kept."""
    store.plans.mkdir()
    (store.plans / "x.json").write_text("[1]")
    publish(store, f"file://{target}")
    (store.plans / "x.json").write_text("[1, 2]")
    done = publish(store, f"file://{target}")
    assert (done.sent_files, done.kept_files) == (1, 4)
    assert (target / "plans" / "x.json").read_text() == "[1, 2]"


def test_a_torn_file_without_a_manifest_is_sent_again(store: StoreLayout, target: Path) -> None:
    """A publication was interrupted: only the manifest says that all of its file is there."""
    publish(store, f"file://{target}")
    (file,) = (target / "compacted").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"x")
    shutil.rmtree(target / "manifest")
    assert publish(store, f"file://{target}").sent_files == 2
    assert file.read_bytes() == whole


def test_files_that_were_merged_are_removed(tmp_path: Path, target: Path) -> None:
    """After the file that replaces them counts, so that every attempt is there once."""
    layout = StoreLayout(write_store(tmp_path / "s", []))
    for number in range(MANY_SMALL):
        publish(layout, f"file://{target}")
        write_attempt(layout.root, attempt_row(trial_id=str(number)))
        compact(layout)
    assert len(list((target / "compacted").iterdir())) == MANY_SMALL - 1
    publish(layout, f"file://{target}")
    assert len(list((target / "compacted").iterdir())) == len(list((target / "manifest").iterdir())) == 1
    assert attempts_of(target) == attempts_of(layout.root)


def test_each_compacted_file_is_a_step(store: StoreLayout, target: Path) -> None:
    """In bytes, before it is sent."""
    compact(store)
    steps: list[Step] = []
    publish(store, f"file://{target}", on_step=steps.append)
    sizes = [(target / "compacted" / file.name).stat().st_size for file in sorted(store.compacted.iterdir())]
    assert [(step.what, step.done, step.total) for step in steps] == [
        ("publishing", 0, sum(sizes)),
        ("publishing", sizes[0], sum(sizes)),
    ]


def test_a_damaged_file_is_not_published(store: StoreLayout, target: Path) -> None:
    """Its digest is that of the manifest, or it is removed again."""
    (file,) = store.compacted.iterdir()
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(StoreError, match=rf"{file}: damaged; nothing of it was published"):
        publish(store, f"file://{target}")
    assert files_of(target) == {}


def test_other_files_other_stores_and_the_store_itself_are_left_alone(store: StoreLayout, target: Path) -> None:
    """Nothing is written there."""
    target.mkdir()
    for name, content, message in (
        ("letter.txt", b"mine", r"holds other files \(letter\.txt\)"),
        ("format.json", format_bytes("other"), "holds another store"),
        ("format.json", b"[]", "holds another store"),
    ):
        (target / name).write_bytes(content)
        with pytest.raises(StoreError, match=message):
            publish(store, f"file://{target}")
        assert files_of(target) == {name: content}
        (target / name).unlink()
    with pytest.raises(StoreError, match="the store itself"):
        publish(store, f"file://{store.root}")


def test_what_is_no_store_is_not_published(tmp_path: Path, target: Path) -> None:
    """Nor is a folder made for it."""
    with pytest.raises(StoreError, match="there is no store"):
        publish(StoreLayout(tmp_path / "none"), f"file://{target}")
    assert not target.exists()
