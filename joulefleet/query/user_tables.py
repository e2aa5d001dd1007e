"""The user's own files as tables, for joins with the views.

They are read into tables before the store's connection is restricted, so no query reads them as files.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb

from joulefleet.errors import QueryError
from joulefleet.query.shipped_sql import sql_names
from joulefleet.query.views import VIEWS
from joulefleet.store.scan import glob_safe, quoted

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_READERS = {
    ".csv": "read_csv({})",
    ".tsv": "read_csv({})",
    ".parquet": "read_parquet({})",
    ".json": "read_json({})",
    ".jsonl": "read_json({}, format = 'newline_delimited')",
    ".ndjson": "read_json({}, format = 'newline_delimited')",
}
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
_CURE = "Write NAME=FILE: a plain name that is used once, and a CSV, Parquet or JSON file in UTF-8."


def parse_user_tables(texts: Sequence[str]) -> dict[str, Path]:
    """Return the file of each table by its name; `texts` are like NAME=FILE. Raises QueryError with every mistake."""
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


def create_user_tables(connection: duckdb.DuckDBPyConnection, files: Mapping[str, str | Path]) -> None:
    """Read each of `files` into the table of its name in `connection`. Raises QueryError with every mistake."""
    problems = list(_problems(connection, files))
    if not problems:
        problems = [problem for name, file in files.items() if (problem := _read(connection, name, Path(file)))]
    if problems:
        raise QueryError(problems, cure=_CURE)


def _problems(connection: duckdb.DuckDBPyConnection, files: Mapping[str, str | Path]) -> Iterator[str]:
    """Yield the mistakes that can be found before any file is read."""
    taken = {*VIEWS, *sql_names("macros")}
    reserved = _reserved_words(connection) if files else frozenset()
    for name, file in files.items():
        if not _PLAIN_NAME.fullmatch(name):
            yield f"{name!r} is no plain name: use letters, digits and underscores, and begin with no digit."
        elif name.lower() in reserved:
            yield f"{name!r} is a keyword of SQL."
        elif name.lower() in taken:
            yield f"{name!r} is the name of a view or macro."
        problem = _file_problem(Path(file))
        if problem:
            yield problem


def _file_problem(file: Path) -> str | None:
    try:
        # DuckDB reads the beginning twice, which a pipe or device does not allow.
        if not stat.S_ISREG(file.stat().st_mode):
            return f"{str(file)!r}: not a regular file."
    except OSError as error:
        return f"{str(file)!r}: {error.strerror}."
    if _reader(file) is None:
        kinds = ", ".join(_READERS)
        packed = " or ".join(_COMPRESSIONS)
        return f"{str(file)!r}: unknown ending; {kinds} are known, all but .parquet also with {packed}."
    return None


def _reader(file: Path) -> str | None:
    """Return the SQL call that reads `file`, with {} for its name; None where its ending is unknown."""
    *_, kind, last = ("", "", *(suffix.lower() for suffix in file.suffixes))
    reader = _READERS.get(kind if last in _COMPRESSIONS else last)
    if reader is None or (last in _COMPRESSIONS and kind == ".parquet"):
        return None
    # DuckDB must guess nothing from the path: a folder's name could add a column, a `?` hide the ending.
    compression = "" if last == ".parquet" else f", compression = '{_COMPRESSIONS.get(last, 'none')}'"
    return reader.removesuffix(")") + f", hive_partitioning = false{compression})"


def _read(connection: duckdb.DuckDBPyConnection, name: str, file: Path) -> str | None:
    """Read `file` into the table `name`. Returns the problem where that fails."""
    reader = _reader(file)
    assert reader is not None, f"{file} passed the check"
    # An absolute path cannot be taken for an address, and this pattern matches only this file.
    source = reader.format(quoted(glob_safe(str(file.absolute()))))
    try:
        connection.execute(f'CREATE TABLE "{name}" AS FROM {source}')
    except duckdb.Error as error:
        return f"{str(file)!r}: cannot be read ({_summary(error)})."
    return None


def _summary(error: duckdb.Error) -> str:
    """Return the message of `error` in one line. Of a CSV error it takes two: the second describes the faulty line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    useful = [line.rstrip(".") for line in lines[:3] if not line.startswith("Original Line")]
    return ": ".join(useful[:2] if "CSV Error" in useful[0] else useful[:1])


def _reserved_words(connection: duckdb.DuckDBPyConnection) -> frozenset[str]:
    rows = connection.execute(
        "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category IN ('reserved', 'type_function')"
    ).fetchall()
    return frozenset(word for (word,) in rows)
