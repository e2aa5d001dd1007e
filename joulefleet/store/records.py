"""The studies of a store as they were asked, read as plain data from studies/*.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from joulefleet.errors import StoreError
from joulefleet.store.layout import StoreLayout
from joulefleet.versions import LAYOUT_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparandRecord:
    """Who is compared with whom in a study."""

    name: str
    kind: str
    """distillation, a_a or twice."""
    teacher: str
    student: str
    expected_ratio: float | None
    """Of work an item: known for the proofs alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRecord:
    """One version of a study, and the machines that it was asked of."""

    file: Path
    name: str
    digest: str
    asked_at: datetime
    definition: dict[str, Any]
    """The study as JSON data; `joulefleet.study.load.study_from_json` understands it."""
    machines: tuple[tuple[str, str], ...]
    """Machine id and name."""
    places: tuple[tuple[str, str], ...]
    """What runs the whole design once: id and name of a machine, or of a class of machines."""
    comparands: tuple[ComparandRecord, ...]
    imported_from: str | None
    """The tool whose output it is; `definition` then only names models and tasks, and there are no blocks."""
    imported_planned: Mapping[str, int] = field(default_factory=dict)
    """Of an imported study: how many runs the tool had planned, by place."""


COMPARANDS_SCHEMA = pa.schema(
    [
        ("study", pa.string()),
        ("pair", pa.string()),
        ("kind", pa.string()),
        ("teacher", pa.string()),
        ("student", pa.string()),
        ("expected_ratio", pa.float64()),
    ]
)
STUDIES_SCHEMA = pa.schema(
    [
        ("study", pa.string()),
        ("digest", pa.string()),
        ("asked_at", pa.timestamp("us", tz="UTC")),
        ("description", pa.string()),
        ("regime", pa.string()),
        ("seed", pa.int64()),
        ("repetitions", pa.int64()),
        ("models", pa.list_(pa.string())),
        ("tasks", pa.list_(pa.string())),
        ("machines", pa.list_(pa.struct([("machine_id", pa.string()), ("machine", pa.string())]))),
        ("definition", pa.string()),
    ]
)


def read_studies(layout: StoreLayout) -> list[StudyRecord]:
    """Every version of every study, oldest first. Raises StoreError that names a file it cannot understand."""
    try:
        files = sorted(layout.studies.glob("*.json"))
        records = [_read(file) for file in files]
    except OSError as error:
        raise StoreError(f"{error.filename}: {error.strerror}.", cure="Check the rights of the store.") from error
    return sorted(records, key=lambda record: record.asked_at)


def read_protocols(layout: StoreLayout, study: str) -> dict[str, frozenset[str]]:
    """The protocols by which each place measures `study` now, where its pilots have told them; by place.

    A plan that cannot be read is as one that is not there: it only says which trials are out of date.
    """
    found: dict[str, frozenset[str]] = {}
    for file in sorted(layout.plans.glob("*.json")) if layout.plans.is_dir() else []:
        try:
            data = json.loads(file.read_bytes())
            if data["study"] == study:
                found[_text(data["place"])] = frozenset(_text(name) for name in data["protocols"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def newest(records: Sequence[StudyRecord]) -> dict[str, StudyRecord]:
    """The newest version of each study, by its name."""
    return {record.name: record for record in records}


def _read(file: Path) -> StudyRecord:
    text = file.read_bytes()
    try:
        data = json.loads(text)
        layout = int(data["store_layout"])
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(file, error) from error
    if layout > LAYOUT_VERSION:
        raise StoreError(f"{file}: written by a newer Joulefleet.", cure="Install a newer Joulefleet.")
    try:
        name = _text(data["study"]["name"])
        machines = tuple((_text(m["machine_id"]), _text(m["name"])) for m in data["machines"])
        return StudyRecord(
            file=file,
            name=name,
            digest=_text(data["digest"]),
            asked_at=datetime.fromisoformat(data["asked_at"]).astimezone(UTC),
            definition=dict(data["study"]),
            machines=machines,
            # Records that were written before there were classes have machines alone.
            places=tuple((_text(p["place"]), _text(p["name"])) for p in data["places"])
            if "places" in data
            else machines,
            comparands=tuple(_comparand(entry) for entry in data["comparands"]),
            imported_from=_text(data["imported"]["from"]) if "imported" in data else None,
            imported_planned={_text(place): int(n) for place, n in data["imported"]["planned_at"].items()}
            if "imported" in data
            else {},
        )
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(file, error) from error


def _comparand(entry: dict[str, Any]) -> ComparandRecord:
    expected = entry["expected_ratio"]
    return ComparandRecord(
        name=_text(entry["name"]),
        kind=_text(entry["kind"]),
        teacher=_text(entry["teacher"]),
        student=_text(entry["student"]),
        expected_ratio=None if expected is None else float(expected),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _damaged(file: Path, error: Exception) -> StoreError:
    what = f"no {error}" if isinstance(error, KeyError) else str(error)
    return StoreError(
        f"{file}: no study of a store, or damaged ({what}).",
        cure="Restore it from a copy, or move it out of the store: `joulefleet run` writes it again.",
    )


def comparands_table(records: Sequence[StudyRecord]) -> pa.Table:
    """One row a comparand of each version of each study."""
    rows = [
        {
            "study": record.name,
            "pair": comparand.name,
            "kind": comparand.kind,
            "teacher": comparand.teacher,
            "student": comparand.student,
            "expected_ratio": comparand.expected_ratio,
        }
        for record in records
        for comparand in record.comparands
    ]
    return pa.Table.from_pylist(rows, schema=COMPARANDS_SCHEMA)


def studies_table(records: Sequence[StudyRecord]) -> pa.Table:
    """One row a version of a study."""
    return pa.Table.from_pylist([_study_row(record) for record in records], schema=STUDIES_SCHEMA)


def _study_row(record: StudyRecord) -> dict[str, Any]:
    study, imported = record.definition, record.imported_from is not None
    try:
        return {
            "study": record.name,
            "digest": record.digest,
            "asked_at": record.asked_at,
            "description": _text(study.get("description", "")),
            # Another tool's study has none of these.
            "regime": None if imported else _text(study["regime"]),
            "seed": None if imported else int(study["seed"]),
            "repetitions": None if imported else int(study["repetitions"]),
            "models": [_text(name) for name in study["models"]],
            "tasks": [_text(name) for name in study["tasks"]],
            "machines": [{"machine_id": machine_id, "machine": name} for machine_id, name in record.machines],
            "definition": json.dumps(study, ensure_ascii=False),
        }
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(record.file, error) from error
