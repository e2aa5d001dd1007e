"""Texts and labels from a file of the user: JSON lines, CSV or Parquet."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joulefleet.errors import StudyError
from joulefleet.study.spec import FileItems, Items

Label = float | str


@dataclass(frozen=True, slots=True)
class TextItem:
    """One item: a text, the second text of a pair, and a label where there is one."""

    text: str
    text_pair: str | None
    label: Label | None


def read_texts(path: Path, columns: FileItems) -> list[TextItem]:
    """Return the items of `path`, in their order. Raises StudyError with what is wrong, and the row."""
    rows = _rows(path)
    required = [name for name in (columns.text, columns.text_pair, columns.label) if name is not None]
    items: list[TextItem] = []
    problems: list[str] = []
    for number, row in enumerate(rows, start=1):
        if columns.count is not None and len(items) >= columns.count:
            break
        missing = [name for name in required if row.get(name) is None]
        if missing:
            has = ", ".join(map(str, row)) or "none"
            problems.append(f"{path}: row {number} lacks {', '.join(missing)} (its columns: {has}).")
            if len(problems) == 5:
                break
            continue
        items.append(
            TextItem(
                str(row[columns.text]),
                str(row[columns.text_pair]) if columns.text_pair else None,
                _label(row[columns.label]) if columns.label else None,
            )
        )
    if problems:
        raise StudyError(problems, cure="Name the columns under `items: file: text, text_pair, label`.")
    if not items:
        raise StudyError(f"{path}: holds no rows.", cure="Give a file with at least one item.")
    return items


def text_columns(items: Items) -> FileItems:
    """Return the columns of items from a file or from the hub. Raises ValueError for synthetic items."""
    if items.file is not None:
        return items.file
    if items.hub is None:
        raise ValueError("synthetic items have no texts")
    hub = items.hub
    return FileItems(path="", text=hub.text, text_pair=hub.text_pair, label=hub.label, count=hub.count)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of the file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _label(value: Any) -> Label:
    if isinstance(value, bool | int | float):
        return float(value)
    try:
        return float(str(value))
    except ValueError:
        return str(value)


def _rows(path: Path) -> Iterable[Mapping[str, Any]]:
    suffix = path.suffix.lower()
    try:
        if suffix in (".jsonl", ".ndjson"):
            return _json_lines(path, path.read_text(encoding="utf-8-sig"))
        if suffix in (".csv", ".tsv"):
            text = path.read_text(encoding="utf-8-sig")
            return list(csv.DictReader(io.StringIO(text), delimiter="\t" if suffix == ".tsv" else ","))
        if suffix == ".parquet":
            return _parquet(path)
    except UnicodeDecodeError as error:
        raise StudyError(f"{path}: not UTF-8 (byte {error.start}).", cure="Save the file as UTF-8.") from error
    except OSError as error:
        raise StudyError(
            f"{path}: cannot be read ({error.strerror}).", cure="Check the path and its rights."
        ) from error
    except csv.Error as error:
        raise StudyError(f"{path}: not CSV ({error}).", cure="Fix the file.") from error
    raise StudyError(
        f"{path}: the ending {suffix or '(none)'} is not known.", cure="Give .jsonl, .csv, .tsv or .parquet."
    )


def _json_lines(path: Path, text: str) -> list[Mapping[str, Any]]:
    rows: list[Mapping[str, Any]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise StudyError(f"{path}:{number}: not JSON ({error}).", cure="Give one JSON mapping a line.") from error
        if not isinstance(row, dict):
            raise StudyError(f"{path}:{number}: not a mapping.", cure="Give one JSON mapping a line.")
        rows.append(row)
    return rows


def _parquet(path: Path) -> list[Mapping[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path).to_pylist()  # type: ignore[no-any-return]  # pyarrow has no types
    except pa.ArrowInvalid as error:
        raise StudyError(f"{path}: not Parquet ({error}).", cure="Fix the file.") from error
