"""A published store, fetched from a folder that is named by its address."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import fs

from joulefleet.errors import StoreError
from joulefleet.store import remote as module
from joulefleet.store.compaction import compact
from joulefleet.store.layout import StoreLayout
from joulefleet.store.remote import blocks_at, fetch, is_uri, names_at, plain_remote_errors, read_at, remote
from tests.support.attempt_rows import attempt_row, study_from, write_attempt, write_store
from tests.support.compaction_crashes import attempts_of, files_of


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A compacted store with a study and a plan, as a publication has it."""
    root = write_store(tmp_path / "published", [attempt_row(trial_id=str(n)) for n in range(3)], study_from())
    compact(StoreLayout(root))
    (root / "attempts").rmdir()
    (root / "plans").mkdir()
    (root / "plans" / "x.json").write_text("{}")
    return root


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The folder that a store is fetched into."""
    (tmp_path / "copy").mkdir()
    return tmp_path / "copy"


@pytest.mark.parametrize(
    ("store", "expected"), [("s3://bucket/x", True), ("file:///x", True), ("/x", False), ("a:/b", False)]
)
def test_an_address_is_told_from_a_path(store: str, *, expected: bool) -> None:
    """By the `://` of a URI."""
    assert is_uri(store) is expected


def test_everything_that_counts_is_fetched(published: Path, copy: Path) -> None:
    """And nothing else: no loose attempt, no hidden file, no file without a manifest."""
    expected = files_of(published)
    write_store(published, [attempt_row(trial_id="loose")])
    (published / "compacted" / ".part.parquet.1.tmp").write_bytes(b"half")
    (published / "compacted" / "stray.parquet").write_bytes(b"half")
    fetch(f"file://{published}", copy)
    assert files_of(copy) == expected


def test_a_merged_file_is_not_fetched(published: Path, copy: Path) -> None:
    """Its rows are in the file that replaced it."""
    before = {
        name: data for name, data in files_of(published).items() if name.split("/")[0] in {"compacted", "manifest"}
    }
    for number in range(3, 10):
        (published / "attempts").mkdir(exist_ok=True)
        write_attempt(published, attempt_row(trial_id=str(number)))
        compact(StoreLayout(published))
    for name, data in before.items():
        (published / name).write_bytes(data)
    fetch(f"file://{published}", copy)
    assert len(list((copy / "compacted").iterdir())) == 1
    assert len(attempts_of(copy)) == 10


def test_a_file_that_was_merged_while_it_was_fetched_is_fetched_again(
    published: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second time the list of manifests is another."""
    left = [f"{published}/compacted/{file.name}" for file in (published / "compacted").iterdir()]

    def gone_once(system: fs.FileSystem, path: str) -> Iterator[bytes]:
        if path in left:
            left.remove(path)
            raise FileNotFoundError(path)
        return blocks_at(system, path)

    monkeypatch.setattr(module, "blocks_at", gone_once)
    fetch(f"file://{published}", copy)
    assert left == []
    assert len(attempts_of(copy)) == 3


def test_a_file_that_stays_away_is_an_error(published: Path, copy: Path) -> None:
    """It is not taken for merged for ever."""
    shutil.rmtree(published / "compacted")
    with pytest.raises(StoreError, match=f"^file://{published}: "):
        fetch(f"file://{published}", copy)


def test_a_damaged_file_is_named(published: Path, copy: Path) -> None:
    """By the digest in its manifest, though its length is right."""
    (file,) = (published / "compacted").iterdir()
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(StoreError, match=rf"{file}: damaged\. Remove it there and run `joulefleet publish` again"):
        fetch(f"file://{published}", copy)


def test_no_store_and_a_newer_one_are_named_by_their_address(published: Path, copy: Path) -> None:
    """Not by the copy, which the reader never sees."""
    with pytest.raises(StoreError, match=f"^file://{published}/none: there is no published store"):
        fetch(f"file://{published}/none", copy)
    (published / "format.json").write_text('{"layout": 99, "store_id": "x"}')
    with pytest.raises(StoreError, match=f"^file://{published}: its layout is version 99"):
        fetch(f"file://{published}", copy)


def test_names_and_contents_of_a_folder(published: Path) -> None:
    """Folders have no size, hidden names are left out, and a folder that does not exist is empty."""
    system, base = remote(f"file://{published}/")
    (published / ".hidden").write_text("")
    names = names_at(system, base)
    assert names["compacted"] is None
    assert names["format.json"] == len(read_at(system, f"{base}/format.json"))
    assert ".hidden" not in names
    assert names_at(system, f"{base}/none") == {}


@pytest.mark.parametrize(
    ("message", "cure"),
    [
        ("AWS Error ACCESS_DENIED during HeadObject", "Check the credentials"),
        ("AWS Error NO_SUCH_BUCKET during ListObjects", "Make the bucket first"),
        ("AWS Error NETWORK_CONNECTION: curlCode: 7", "Check the network"),
        ("something else.\nwith details", "Check the address, the credentials and the network"),
    ],
)
def test_an_error_of_a_file_system_is_one_line_with_a_cure(message: str, cure: str) -> None:
    """The cure depends on what the service says."""
    with pytest.raises(StoreError, match=rf"^s3://b/x: .*\. {cure}") as caught, plain_remote_errors("s3://b/x"):
        raise OSError(message)
    assert "\n" not in str(caught.value)


def test_an_address_of_no_known_kind_is_refused() -> None:
    """With examples of those that are known."""
    with pytest.raises(StoreError, match="Name one like s3://bucket/prefix"):
        remote("ftp://b/x")
