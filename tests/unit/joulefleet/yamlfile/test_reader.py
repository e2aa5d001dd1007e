import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from joulefleet.errors import StudyError
from joulefleet.yamlfile.reader import MAX_BYTES, MAX_DEPTH, parse_yaml, read_yaml

BOMB = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [*{old}, *{old}]\n" for old, new in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        (BOMB, 1, "anchors and aliases are not allowed"),
        ("a: 1\nb: *a", 2, "anchors and aliases are not allowed"),
        ("a: 1\nb: !!python/object/apply:os.system [ls]", 2, "the tag .*os.system is not allowed"),
        ("a: !mine 1", 1, "the tag !mine is not allowed"),
        ("a: !!str 1", 1, "the tag .*str is not allowed"),
        ("%TAG ! tag:elsewhere,2026:\n---\na: !b 1", 3, "the tag tag:elsewhere,2026:b is not allowed"),
        ("a: 1\nb: 2\na: 3", 3, "the key 'a' is here a second time"),
        ("'1': a\n1: b", 2, "the key '1' is here a second time"),
        ("a: 1\n[b]: 2", 2, "a key must be plain text"),
        ("? {b: 1}\n: 2", 1, "a key must be plain text"),
        ("a:\n  <<: {b: 1}", 2, "a key must be plain text"),
        ("a: 1\n---\nb: 2", 2, "a second document begins here"),
        ("a:\n  " + "[" * MAX_DEPTH, 2, f"nested deeper than {MAX_DEPTH} levels"),
        ("a: 1\nb: .nan", 2, "'.nan' is not a finite number"),
        ("a: -.inf", 1, "'-.inf' is not a finite number"),
        ("a: 1e999", 1, "'1e999' is not a finite number"),
        (f"a: {2**63}", 1, "'9223372036854775808' is beyond 64 bits"),
        ("a: 0x" + "f" * 5000, 1, r"'0xf+\.\.\.' is beyond 64 bits"),
        ("a: " + "9" * 5000, 1, r"'9+\.\.\.' cannot be read as a number"),
        ('a: "\\0"', 1, "a character that text cannot hold"),
        ('a: "\\ud800"', 1, "a character that text cannot hold"),
        ('"\\ud800": a', 1, "a character that text cannot hold"),
        ("a:\n\t- b", 2, "not YAML"),
        ("a: 1\nb: c: d", 2, "not YAML"),
        ("a: [1,\nb: 2", 2, "not YAML"),
    ],
)
def test_yaml_that_is_more_than_data_is_refused_with_its_line(text: str, line: int, what: str) -> None:
    """A study is plain data: nothing in it constructs objects, expands or repeats."""
    with pytest.raises(StudyError, match=f"study.yaml:{line}: .*{what}"):
        parse_yaml(text, name="study.yaml")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "empty"),
        ("# only a comment\n", "empty"),
        ("a: \x01", "not YAML: unacceptable character #x0001"),
        ('a: "\\UFFFFFFFF"', "not YAML"),
        ("%YAML 1." + "9" * 5000 + "\n---\na: 1", "not YAML"),
    ],
)
def test_a_mistake_without_a_line_is_refused_too(text: str, what: str) -> None:
    """Every error of the parser becomes an error of ours."""
    with pytest.raises(StudyError, match=f"study.yaml: {what}"):
        parse_yaml(text, name="study.yaml")


def test_every_mistake_is_named_at_once() -> None:
    """A user fixes a file in one go."""
    with pytest.raises(StudyError) as caught:
        parse_yaml("a: .nan\na: 1\n[b]: 2\nc: .inf\n", name="f")
    assert [problem[:4] for problem in caught.value.problems] == ["f:1:", "f:2:", "f:3:", "f:4:"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("~", None),
        ("0o17", 15),
        ("1_000", 1000),
        ("1e3", 1000.0),
        ("2024-01-01", "2024-01-01"),
        ("2024-13-45", "2024-13-45"),
        ("12:30:45", "12:30:45"),
        ('"5"', "5"),
        ("=", "="),
        ("9223372036854775807", 2**63 - 1),
        ("|\n  two\n  lines", "two\nlines"),
    ],
)
def test_values_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    """`yes` and dates are text, as a study needs no other booleans and no dates."""
    read = parse_yaml(f"a: {text}", name="f").data["a"]
    assert (read, type(read)) == (value, type(value))


def test_nesting_up_to_the_limit_is_allowed() -> None:
    """One level more is refused, as another test shows."""
    assert parse_yaml("[" * MAX_DEPTH + "]" * MAX_DEPTH, name="f").data == eval("[" * MAX_DEPTH + "]" * MAX_DEPTH)  # noqa: S307 - brackets


def test_every_value_has_its_line() -> None:
    """Keys and items of lists have their own lines; a location that is not there has the line of what encloses it."""
    document = parse_yaml("a:\n  b: 1\n  c:\n    - x\n    - {d: 2}\n\ne: 3\n", name="f")
    lines = {("a",): 1, ("a", "b"): 2, ("a", "c"): 3, ("a", "c", 0): 4, ("a", "c", 1, "d"): 5, ("e",): 7}
    assert {location: document.line_of(location) for location in lines} == lines
    assert document.line_of(("a", "c", 1, "missing")) == 5
    assert document.line_of(("missing", "too")) == 1


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    """Editors on Windows write one."""
    path = tmp_path / "study.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read_yaml(path).data == {"a": 1, "b": 2}


def test_another_encoding_is_refused_with_the_line_of_its_first_character(tmp_path: Path) -> None:
    """Latin-1 differs from UTF-8 at the first letter outside of ASCII."""
    path = tmp_path / "study.yaml"
    path.write_bytes("a: 1\nb: é\n".encode("latin-1"))
    with pytest.raises(StudyError, match=r"study\.yaml:2: not UTF-8"):
        read_yaml(path)


def test_a_file_of_100_mb_is_refused_without_reading_it(tmp_path: Path) -> None:
    """Reading stops as soon as the file is known to be too long."""
    path = tmp_path / "study.yaml"
    path.touch()
    os.truncate(path, 100_000_000)
    tracemalloc.start()
    with pytest.raises(StudyError, match="over 64 KiB"):
        read_yaml(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 10 * MAX_BYTES


@pytest.mark.timeout(30)
def test_the_longest_file_that_is_allowed_is_read_in_seconds(tmp_path: Path) -> None:
    """It is the slowest YAML known, of the largest size allowed."""
    path = tmp_path / "study.yaml"
    path.write_text("[" + "1," * ((MAX_BYTES - 2) // 2) + "]", encoding="utf-8")
    assert len(read_yaml(path).data) == (MAX_BYTES - 2) // 2


@pytest.mark.parametrize(("name", "what"), [("none.yaml", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_an_error_of_ours(tmp_path: Path, name: str, what: str) -> None:
    """The message has the words of the operating system."""
    with pytest.raises(StudyError, match=f"cannot be read \\({what}"):
        read_yaml(tmp_path / name)
