"""The user's own files as tables beside the views, for joins.

They are read before a store's connection is confined, and kept as tables: a question reads no file.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb

from joulefleet.errors import QueryError
from joulefleet.query.sql_files import sql_names
from joulefleet.query.views import VIEWS
from joulefleet.store.scan import glob_safe, quoted

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_READERS = {
    ".csv": "read_csv({})",
    ".tsv": "read_csv({})",
    ".parquet": "read_parquet({})",
    ".json": "read_json({})",
    ".jsonl": "read_json({}, format = 'newline_delimited')",
    ".ndjson": "read_json({}, format = 'newline_delimited')",
}
_PACKED = {".gz": "gzip", ".zst": "zstd"}
_CURE = "Each is NAME=FILE: a plain name of its own, and a CSV, Parquet or JSON file in UTF-8."


def own_files(texts: Sequence[str]) -> dict[str, Path]:
    """The files by the names of their tables, of texts like NAME=FILE. Raises QueryError with every mistake."""
    files: dict[str, Path] = {}
    problems = []
    for text in texts:
        name, equals, file = text.partition("=")
        if not equals or not name or not file:
            problems.append(f"{text!r} is not NAME=FILE.")
        elif name.lower() in (other.lower() for other in files):
            problems.append(f"{name!r} is named twice.")
        else:
            files[name] = Path(file)
    with duckdb.connect(":memory:") as connection:
        problems += _problems(connection, files)
    if problems:
        raise QueryError(problems, cure=_CURE)
    return files


def create_own_tables(connection: duckdb.DuckDBPyConnection, files: Mapping[str, str | Path]) -> None:
    """Read each of `files` into a table of its name in `connection`. Raises QueryError with every mistake."""
    problems = list(_problems(connection, files))
    if not problems:
        problems = [problem for name, file in files.items() if (problem := _read(connection, name, Path(file)))]
    if problems:
        raise QueryError(problems, cure=_CURE)


def _problems(connection: duckdb.DuckDBPyConnection, files: Mapping[str, str | Path]) -> Iterator[str]:
    """What can be seen to be wrong before anything is read."""
    taken = {*VIEWS, *sql_names("macros")}
    reserved = _reserved_words(connection) if files else frozenset()
    for name, file in files.items():
        if not _PLAIN.fullmatch(name):
            yield f"{name!r} is no plain name: letters, digits and underscores, no digit first."
        elif name.lower() in reserved:
            yield f"{name!r} is a word of SQL."
        elif name.lower() in taken:
            yield f"{name!r} is the name of a view or macro."
        problem = _file_problem(Path(file))
        if problem:
            yield problem


def _file_problem(file: Path) -> str | None:
    try:
        # A pipe or device is no file: DuckDB reads the beginning twice.
        if not stat.S_ISREG(file.stat().st_mode):
            return f"{str(file)!r}: is no file."
    except OSError as error:
        return f"{str(file)!r}: {error.strerror}."
    if _reader(file) is None:
        kinds = ", ".join(_READERS)
        return f"{str(file)!r}: of an unknown kind; {kinds} are known, the texts also with {' or '.join(_PACKED)}."
    return None


def _reader(file: Path) -> str | None:
    """The call that reads `file`, with a place for its name; None of a kind that is not known."""
    *_, kind, last = ("", "", *(suffix.lower() for suffix in file.suffixes))
    reader = _READERS.get(kind if last in _PACKED else last)
    if reader is None or (last in _PACKED and kind == ".parquet"):
        return None
    # What DuckDB would guess from a path is said: a folder's name could add a column, a `?` hide the ending.
    packed = "" if last == ".parquet" else f", compression = '{_PACKED.get(last, 'none')}'"
    return reader.removesuffix(")") + f", hive_partitioning = false{packed})"


def _read(connection: duckdb.DuckDBPyConnection, name: str, file: Path) -> str | None:
    """Read `file` into the table `name`; what is wrong where that fails."""
    reader = _reader(file)
    assert reader is not None, f"{file} was looked at"
    # Absolute, so that no name of a file can be an address; as a pattern that only this file matches.
    source = reader.format(quoted(glob_safe(str(file.absolute()))))
    try:
        connection.execute(f'CREATE TABLE "{name}" AS FROM {source}')
    except duckdb.Error as error:
        return f"{str(file)!r}: cannot be read ({_said(error)})."
    return None


def _said(error: duckdb.Error) -> str:
    """What `error` says in one line. Of a CSV file, the second line is the user's own."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line.rstrip(".") for line in lines[:3] if not line.startswith("Original Line")]
    return ": ".join(told[:2] if "CSV Error" in told[0] else told[:1])


def _reserved_words(connection: duckdb.DuckDBPyConnection) -> frozenset[str]:
    rows = connection.execute(
        "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category IN ('reserved', 'type_function')"
    ).fetchall()
    return frozenset(word for (word,) in rows)
