"""CSV files of other tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.importing.problems import ImportProblems
from coordinator.importing.tables.csv import CsvReader, CsvTable, number


def read(path: Path, content: bytes, *, most: int = 1000) -> tuple[CsvTable | None, list[str]]:
    """Write a file with this content; return its table and the problems."""
    path.write_bytes(content)
    problems = ImportProblems()
    table = CsvReader(problems, max_file_bytes=most).read(path)
    return table, [text.removeprefix(str(path)) for text in problems.messages]


def test_a_table_has_names_and_rows_with_their_lines(tmp_path: Path) -> None:
    """A byte order mark, quotes and empty lines are not data."""
    table, problems_found = read(tmp_path / "t.csv", b'\xef\xbb\xbfa, b\n1,"x ""y"",\nz"\n\n2,\n')
    assert not problems_found
    assert table is not None
    assert table.header == ("a", "b")
    assert [(row.line, tuple(row.cells)) for row in table.rows] == [(3, ("1", 'x "y",\nz')), (5, ("2", ""))]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", ": empty"),
        (b"a,b\n1\n1,2,3\n", ":2: 1 cells under 2 columns"),
        (b"a,a\n1,2\n", ": the column 'a' is there twice"),
        (b"a\n\xff\n", ":2: not UTF-8"),
        (b'a\n"b\n', ":2: not CSV"),
        (b"a\n" + b"x" * 2000, ": over 0 MiB"),
    ],
)
def test_a_file_that_is_no_table_is_a_problem_with_its_line(tmp_path: Path, content: bytes, expected: str) -> None:
    """Such a file is not used in part either."""
    table, problems_found = read(tmp_path / "t.csv", content)
    assert table is None
    assert problems_found[0].startswith(expected)


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    """The message includes the reason of the operating system."""
    problems = ImportProblems()
    assert CsvReader(problems).read(tmp_path / "t.csv") is None
    assert "cannot be read (No such file or directory)" in problems.messages[0]


def test_too_many_bytes_in_all_are_reported_once(tmp_path: Path) -> None:
    """Further files do not repeat it."""
    (tmp_path / "t.csv").write_text("a\n" + "1\n" * 50)
    problems = ImportProblems()
    reader = CsvReader(problems, max_total_bytes=250)
    assert [reader.read(tmp_path / "t.csv") is None for _ in range(5)] == [False, False, True, True, True]
    assert len(problems.messages) == 1


@pytest.mark.parametrize("text", ["", "nan", "inf", "1_000", "1,5", "0x10", "1e999", "٣", "--1", "1 2"])
def test_a_text_that_is_no_finite_number_is_none(text: str) -> None:
    """float() would accept some of these texts."""
    assert number(text) is None


@pytest.mark.parametrize(("text", "value"), [("5", 5.0), (" -5.25e-1 ", -0.525), (".5", 0.5), ("1.", 1.0)])
def test_numbers_are_read(text: str, value: float) -> None:
    """Surrounding blanks are ignored."""
    assert number(text) == value


def test_the_problem_of_a_missing_column_suggests_a_similar_one(tmp_path: Path) -> None:
    """If no name is similar, the message lists the columns that exist."""
    table, _ = read(tmp_path / "t.csv", b"total_energy,time\n")
    assert table is not None
    assert table.missing_text("total_enrgy") == "no column 'total_enrgy'; did you mean 'total_energy'?"
    assert table.missing_text("x") == "no column 'x'; it has 'total_energy', 'time'."
