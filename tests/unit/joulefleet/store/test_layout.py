from pathlib import Path

import pytest

from joulefleet.errors import StoreError
from joulefleet.store.layout import StoreLayout, default_store, format_bytes, is_empty, read_format
from joulefleet.versions import LAYOUT_VERSION, SCHEMA_VERSION


def store(root: Path, text: str) -> StoreLayout:
    """Make a store whose format.json contains `text`."""
    layout = StoreLayout(root)
    layout.format_file.write_text(text, encoding="utf-8")
    return layout


def test_a_format_is_read_as_it_was_written(tmp_path: Path) -> None:
    """What `format_bytes` wrote, `read_format` reads."""
    assert read_format(store(tmp_path, format_bytes("abc").decode())) == "abc"


def test_everything_of_a_store_lies_in_its_folder(tmp_path: Path) -> None:
    """A store can be moved and copied as one folder."""
    layout = StoreLayout(tmp_path)
    paths = [layout.format_file, layout.attempts, layout.studies, layout.lock_file]
    assert {path.parent for path in paths} == {tmp_path}
    assert len(set(paths)) == len(paths)


def test_no_folder_is_no_store(tmp_path: Path) -> None:
    """The message says that nothing exists under this name."""
    with pytest.raises(StoreError, match=r"none: there is no store\."):
        read_format(StoreLayout(tmp_path / "none"))


def test_a_folder_without_format_is_no_store(tmp_path: Path) -> None:
    """The message says that the folder is no store."""
    with pytest.raises(StoreError, match="a folder, but no store"):
        read_format(StoreLayout(tmp_path))


def test_a_file_is_no_store(tmp_path: Path) -> None:
    """A user may name a Parquet file in place of its store."""
    file = tmp_path / "a.parquet"
    file.write_bytes(b"PAR1")
    with pytest.raises(StoreError, match="a file, not a store"):
        read_format(StoreLayout(file))


def test_a_name_that_no_file_system_takes_is_a_store_error(tmp_path: Path) -> None:
    """The message contains the error of the operating system."""
    with pytest.raises(StoreError, match="File name too long"):
        read_format(StoreLayout(tmp_path / ("x" * 300)))


@pytest.mark.parametrize("rest", ['"store_id": "abc"', '"id": {"of": "another shape"}'])
def test_a_newer_layout_is_refused_whatever_else_the_file_contains(tmp_path: Path, rest: str) -> None:
    """The layout decides first: the other keys may mean something else in a newer layout."""
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
def test_a_damaged_format_is_an_error_with_a_cure(tmp_path: Path, text: str) -> None:
    """Any content of format.json ends in a StoreError, never in a traceback."""
    with pytest.raises(StoreError, match=r"format\.json: damaged\..*untouched"):
        read_format(store(tmp_path, text))


def test_the_store_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`$JOULEFLEET_STORE` names the store where no option does; an empty value does not count."""
    monkeypatch.setenv("JOULEFLEET_STORE", "/data/store")
    assert default_store() == Path("/data/store")
    monkeypatch.setenv("JOULEFLEET_STORE", "")
    assert default_store() == Path("joulefleet-store")
    monkeypatch.delenv("JOULEFLEET_STORE")
    assert default_store() == Path("joulefleet-store")
