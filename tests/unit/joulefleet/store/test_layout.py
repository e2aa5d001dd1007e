from pathlib import Path

import pytest

from joulefleet.errors import StoreError
from joulefleet.store.layout import StoreLayout, default_store, format_bytes, is_empty, read_format
from joulefleet.versions import LAYOUT_VERSION, SCHEMA_VERSION


def store(root: Path, text: str) -> StoreLayout:
    """A store whose format.json says `text`."""
    layout = StoreLayout(root)
    layout.format_file.write_text(text, encoding="utf-8")
    return layout


def test_a_store_says_its_id(tmp_path: Path) -> None:
    """What `format_bytes` wrote, `read_format` reads."""
    assert read_format(store(tmp_path, format_bytes("abc").decode())) == "abc"


def test_everything_of_a_store_lies_in_its_folder(tmp_path: Path) -> None:
    """A store can be moved and copied as one folder."""
    layout = StoreLayout(tmp_path)
    paths = [layout.format_file, layout.attempts, layout.studies, layout.lock_file]
    assert {path.parent for path in paths} == {tmp_path}
    assert len(set(paths)) == len(paths)


def test_no_folder_is_no_store(tmp_path: Path) -> None:
    """A name that does not exist is said to be none."""
    with pytest.raises(StoreError, match=r"none: there is no store\."):
        read_format(StoreLayout(tmp_path / "none"))


def test_a_folder_without_format_is_no_store(tmp_path: Path) -> None:
    """Any other folder is told from a store."""
    with pytest.raises(StoreError, match="a folder, but no store"):
        read_format(StoreLayout(tmp_path))


def test_a_file_is_no_store(tmp_path: Path) -> None:
    """A Parquet file named in the place of its store is told apart too."""
    file = tmp_path / "a.parquet"
    file.write_bytes(b"PAR1")
    with pytest.raises(StoreError, match="a file, not a store"):
        read_format(StoreLayout(file))


def test_a_name_that_no_file_system_takes_is_an_error_of_ours(tmp_path: Path) -> None:
    """Where the operating system refuses, its words stand in the message."""
    with pytest.raises(StoreError, match="File name too long"):
        read_format(StoreLayout(tmp_path / ("x" * 300)))


@pytest.mark.parametrize("rest", ['"store_id": "abc"', '"id": {"of": "another shape"}'])
def test_a_newer_layout_is_refused_whatever_else_it_says(tmp_path: Path, rest: str) -> None:
    """An old Joulefleet does not guess at what a newer one wrote."""
    with pytest.raises(StoreError, match=f"version {LAYOUT_VERSION + 1}.*Install a newer"):
        read_format(store(tmp_path, f'{{"layout": {LAYOUT_VERSION + 1}, {rest}}}'))


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("", r"an older Joulefleet \(no schema version, .* run the study again"),
        ('"schema": "4", ', "no schema version"),
        (f'"schema": {SCHEMA_VERSION - 1}, ', f"an older Joulefleet .*version {SCHEMA_VERSION - 1}, .* run the study"),
        (f'"schema": {SCHEMA_VERSION + 1}, ', r"a newer Joulefleet .*\. Install a newer Joulefleet\."),
    ],
)
def test_rows_of_another_version_are_refused(tmp_path: Path, schema: str, message: str) -> None:
    """Columns have changed between the versions, so none of the rows is read."""
    with pytest.raises(
        StoreError, match=f"{tmp_path}: written by {message}" if schema != '"schema": "4", ' else message
    ):
        read_format(store(tmp_path, f'{{"layout": {LAYOUT_VERSION}, {schema}"store_id": "abc"}}'))


def test_a_new_volume_is_empty(tmp_path: Path) -> None:
    """An ext4 file system that was just made has a lost+found in it."""
    (tmp_path / "lost+found").mkdir()
    assert is_empty(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    assert not is_empty(tmp_path)
    assert not is_empty(tmp_path / "notes.txt")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"layout": 1}',
        '{"store_id": "abc"}',
        '{"layout": 1, "store_id": null}',
        '{"layout": "1", "store_id": "abc"}',
        '{"layout": Infinity, "store_id": "abc"}',
        "[" * 100_000,
    ],
)
def test_a_damaged_format_is_told_with_its_cure(tmp_path: Path, text: str) -> None:
    """Whatever stands in format.json, the answer is an error of ours."""
    with pytest.raises(StoreError, match=r"format\.json: damaged\..*untouched"):
        read_format(store(tmp_path, text))


def test_the_store_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`$JOULEFLEET_STORE` names the store where no option does; set to nothing it counts for nothing."""
    monkeypatch.setenv("JOULEFLEET_STORE", "/data/store")
    assert default_store() == Path("/data/store")
    monkeypatch.setenv("JOULEFLEET_STORE", "")
    assert default_store() == Path("joulefleet-store")
    monkeypatch.delenv("JOULEFLEET_STORE")
    assert default_store() == Path("joulefleet-store")
