"""Texts and labels from files."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agent.workloads.texts import TextItem, read_texts
from joulefleet.errors import StudyError
from joulefleet.study.spec import FileItems

ASKED = FileItems(path="", text="sentence", label="label")


def write(folder: Path, name: str, content: bytes) -> Path:
    """Write a file, and return its path."""
    path = folder / name
    path.write_bytes(content)
    return path


def test_the_three_formats_give_the_same_items(tmp_path: Path) -> None:
    """JSON lines, CSV and Parquet of the same content give the same list."""
    rows = [{"sentence": "a, fine film", "label": 1}, {"sentence": 'dull "and" long', "label": 0}]
    jsonl = write(
        tmp_path,
        "a.jsonl",
        b'{"sentence": "a, fine film", "label": 1}\n\n{"sentence": "dull \\"and\\" long", "label": 0}\n',
    )
    csv = write(tmp_path, "a.csv", b'sentence,label\n"a, fine film",1\n"dull ""and"" long",0\n')
    parquet = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(rows), parquet)
    expected = [TextItem("a, fine film", None, 1.0), TextItem('dull "and" long', None, 0.0)]
    assert read_texts(jsonl, ASKED) == read_texts(csv, ASKED) == read_texts(parquet, ASKED) == expected


def test_only_the_requested_rows_are_read(tmp_path: Path) -> None:
    """`count` takes the first rows."""
    path = write(tmp_path, "a.csv", b"sentence,label\nx,1\ny,0\nz,1\n")
    assert len(read_texts(path, FileItems(path="", text="sentence", count=2))) == 2


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"text,label\nx,1\n", "lacks sentence"),
        ("a.csv", b"sentence,label\n", "no rows"),
        ("a.csv", b"sentence,label\n\xff\xfe,1\n", "not UTF-8"),
        ("a.jsonl", b'{"sentence": "x", "label": 1}\n{"sentence": \n', "a.jsonl:2: not JSON"),
        ("a.jsonl", b"[1]\n", "not a mapping"),
        ("a.parquet", b"PAR1 and no more", "not Parquet"),
        ("a.docx", b"", "ending .docx"),
    ],
)
def test_an_unusable_file_is_refused_with_the_reason(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    """The message names the missing columns, the missing rows or the broken encoding."""
    with pytest.raises(StudyError, match=says):
        read_texts(write(tmp_path, name, content), ASKED)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """A wrong path is a mistake in the study."""
    with pytest.raises(StudyError, match="cannot be read"):
        read_texts(tmp_path / "none.csv", ASKED)
