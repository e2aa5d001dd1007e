"""The record of a study: what was requested, of which machines, and what it was resolved to.

`StudyRecord` is the only reader and writer of the files studies/*.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from joulefleet.digest import digest
from joulefleet.errors import StoreError
from joulefleet.store.layout import StoreLayout
from joulefleet.versions import LAYOUT_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparandRecord:
    """Two models of a study that are compared."""

    name: str
    kind: str
    """distillation, a_a or twice."""
    teacher: str
    student: str
    expected_ratio: float | None = None
    """True ratio of work per item, student to teacher; known for the proofs only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRecord:
    """Origin of an imported study."""

    tool: str
    """Tool that measured it."""
    planned: Mapping[str, int]
    """Number of runs that the tool had planned, by place."""
    content: str
    """Digest of the runs and the mapping: two imports of the same data have the same."""
    mapping: Mapping[str, Any]
    """Mapping as its file has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRecord:
    """One version of a study, as a store keeps it.

    A coordinator or an import makes one, and `StoreWriter.record_study` writes it unless the newest
    record of the study has the same `digest`. It never changes afterwards. `from_json` raises
    StoreError that names the file where a key is missing or has the wrong type.
    """

    definition: dict[str, Any]
    """The study as JSON data, for `joulefleet.study.load.study_from_json`. An imported study has name, description,
    models and tasks only."""
    machines: tuple[tuple[str, str], ...]
    """Ids and names of the machines that took part."""
    places: tuple[tuple[str, str], ...]
    """Ids and names of the places: each runs the whole design once."""
    comparands: tuple[ComparandRecord, ...]
    requested_at: datetime
    """When it was requested, in UTC."""
    model_digests: Mapping[str, str] = field(default_factory=dict)
    """Digest of each resolved model, by name."""
    task_digests: Mapping[str, str] = field(default_factory=dict)
    """Digest of each resolved task, by name."""
    imported: ImportRecord | None = None
    """None for a study that Joulefleet measures."""
    file: Path | None = None
    """File that it was read from."""

    @property
    def name(self) -> str:
        """Name of the study."""
        return str(self.definition["name"])

    @property
    def imported_from(self) -> str | None:
        """Tool that measured an imported study; it has no blocks."""
        return None if self.imported is None else self.imported.tool

    @property
    def digest(self) -> str:
        """Digest of everything but the time: the same request has the same digest."""
        return digest(self._content())

    def to_json(self) -> bytes:
        """Return the content of its file."""
        data = self._content() | {"requested_at": self.requested_at.isoformat(), "digest": self.digest}
        return json.dumps(data, indent=1, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, text: bytes, file: Path) -> Self:
        """Parse `text`, the content of `file`. Raises StoreError."""
        try:
            data = json.loads(text)
            if int(data["store_layout"]) > LAYOUT_VERSION:
                raise StoreError(f"{file}: written by a newer Joulefleet.", cure="Install a newer Joulefleet.")
            record = cls(
                definition=dict(data["study"]),
                machines=_pairs(data["machines"], "machine_id"),
                places=_pairs(data["places"], "place"),
                comparands=tuple(_comparand(entry) for entry in data["comparands"]),
                requested_at=datetime.fromisoformat(data["requested_at"]).astimezone(UTC),
                model_digests=_texts(data["models"]),
                task_digests=_texts(data["tasks"]),
                imported=_import(data["imported"]) if "imported" in data else None,
                file=file,
            )
            _study_row(record)  # finds the keys of the definition that are missing
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            what = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise StoreError(
                f"{file}: damaged, or not the record of a study ({what}).",
                cure="Restore it from a copy, or move it out of the store: `joulefleet run` writes it again.",
            ) from error
        return record

    def _content(self) -> dict[str, Any]:
        content: dict[str, Any] = {
            "study": self.definition,
            "store_layout": LAYOUT_VERSION,
            "machines": [{"machine_id": identity, "name": name} for identity, name in self.machines],
            "places": [{"place": identity, "name": name} for identity, name in self.places],
            "comparands": [asdict(comparand) for comparand in self.comparands],
            "models": self.model_digests,
            "tasks": self.task_digests,
        }
        if self.imported is not None:
            content["imported"] = {
                "from": self.imported.tool,
                "planned": sum(self.imported.planned.values()),
                "planned_at": self.imported.planned,
                "content": self.imported.content,
                "mapping": self.imported.mapping,
            }
        return content


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
        ("requested_at", pa.timestamp("us", tz="UTC")),
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
    """Read every version of every study, oldest first. Raises StoreError that names a damaged file."""
    try:
        files = sorted(layout.studies.glob("*.json"))
        records = [StudyRecord.from_json(file.read_bytes(), file) for file in files]
    except OSError as error:
        raise StoreError(f"{error.filename}: {error.strerror}.", cure="Check the rights of the store.") from error
    return sorted(records, key=lambda record: record.requested_at)


def newest(records: Iterable[StudyRecord]) -> dict[str, StudyRecord]:
    """Return the newest version of each study by its name; `records` are sorted, oldest first."""
    return {record.name: record for record in records}


def read_protocols(layout: StoreLayout, study: str) -> dict[str, frozenset[str]]:
    """Return the protocols by which each place measures `study` now, by place.

    A place is missing until its pilots are done. A file that cannot be read is left out: it only says
    which trials are out of date.
    """
    protocols: dict[str, frozenset[str]] = {}
    for file in sorted(layout.plans.glob("*.json")):
        try:
            data = json.loads(file.read_bytes())
            if data["study"] == study:
                protocols[_text(data["place"])] = frozenset(_text(name) for name in data["protocols"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return protocols


def comparands_table(records: Sequence[StudyRecord]) -> pa.Table:
    """Return one row for each comparand of each version of each study."""
    rows = [
        asdict(comparand) | {"study": record.name, "pair": comparand.name}
        for record in records
        for comparand in record.comparands
    ]
    return pa.Table.from_pylist(rows, schema=COMPARANDS_SCHEMA)


def studies_table(records: Sequence[StudyRecord]) -> pa.Table:
    """Return one row for each version of each study."""
    return pa.Table.from_pylist([_study_row(record) for record in records], schema=STUDIES_SCHEMA)


def _study_row(record: StudyRecord) -> dict[str, Any]:
    study, imported = record.definition, record.imported is not None
    return {
        "study": _text(study["name"]),
        "digest": record.digest,
        "requested_at": record.requested_at,
        "description": _text(study.get("description", "")),
        # An imported study has none of these.
        "regime": None if imported else _text(study["regime"]),
        "seed": None if imported else int(study["seed"]),
        "repetitions": None if imported else int(study["repetitions"]),
        "models": [_text(name) for name in study["models"]],
        "tasks": [_text(name) for name in study["tasks"]],
        "machines": [{"machine_id": machine_id, "machine": name} for machine_id, name in record.machines],
        "definition": json.dumps(study, ensure_ascii=False),
    }


def _comparand(entry: Mapping[str, Any]) -> ComparandRecord:
    expected = entry["expected_ratio"]
    return ComparandRecord(
        name=_text(entry["name"]),
        kind=_text(entry["kind"]),
        teacher=_text(entry["teacher"]),
        student=_text(entry["student"]),
        expected_ratio=None if expected is None else float(expected),
    )


def _import(entry: Mapping[str, Any]) -> ImportRecord:
    return ImportRecord(
        tool=_text(entry["from"]),
        planned={_text(place): int(runs) for place, runs in entry["planned_at"].items()},
        content=_text(entry["content"]),
        mapping=dict(entry["mapping"]),
    )


def _pairs(entries: Sequence[Mapping[str, Any]], key: str) -> tuple[tuple[str, str], ...]:
    return tuple((_text(entry[key]), _text(entry["name"])) for entry in entries)


def _texts(entries: Mapping[str, Any]) -> dict[str, str]:
    return {name: _text(value) for name, value in entries.items()}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
