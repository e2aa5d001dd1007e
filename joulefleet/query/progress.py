"""How far each study of a store is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from joulefleet.errors import QueryError, StoreError, closest_or
from joulefleet.plan.expand import cells
from joulefleet.query.store import Store
from joulefleet.query.views import query_text
from joulefleet.store.records import StudyRecord, newest, read_protocols
from joulefleet.study.load import study_from_json
from joulefleet.study.spec import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineProgress:
    """The part of one place in a study, in trials: of a machine, or of a class of machines that share it."""

    place: str
    name: str
    planned: int
    ok: int
    failed: int

    @property
    def missing(self) -> int:
        """Trials that have not been measured yet."""
        return self.planned - self.ok - self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyProgress:
    """How far a study is, in trials: those that its newest version plans, one for each cell, block and machine."""

    study: str
    asked_at: datetime
    machines: tuple[MachineProgress, ...]
    failures: Mapping[str, int]
    """Each reason, and how many trials failed for it; most frequent first."""
    newest_at: datetime | None
    """Start of the newest trial."""
    imported_from: str | None = None
    """The tool whose output it is; what is missing was planned there and never done."""

    @property
    def planned(self) -> int:
        """Repetitions × cells × machines."""
        return sum(machine.planned for machine in self.machines)

    @property
    def ok(self) -> int:
        """Trials measured."""
        return sum(machine.ok for machine in self.machines)

    @property
    def failed(self) -> int:
        """Trials whose accepted attempt failed."""
        return sum(machine.failed for machine in self.machines)

    @property
    def missing(self) -> int:
        """Trials that have not been measured yet."""
        return self.planned - self.ok - self.failed

    @property
    def finished(self) -> bool:
        """Whether no trial is missing."""
        return self.planned > 0 and self.missing == 0


def progress(store: Store, study: str | None = None) -> tuple[StudyProgress, ...]:
    """The progress of `study`, or of each study in `store`, by name.

    Raises QueryError where the store has no such study, StoreError where its file is of a version
    that cannot be understood.
    """
    records = newest(store.studies)
    return tuple(_progress(store, record) for record in chosen(records, study))


def chosen(records: Mapping[str, StudyRecord], study: str | None) -> list[StudyRecord]:
    """The record of `study`, or all of them by name. Raises QueryError where there is no such study."""
    if study is None:
        return [records[name] for name in sorted(records)]
    if study not in records:
        known = f"It has {', '.join(sorted(records))}." if records else "It has none yet."
        raise QueryError(f"The store has no study {study!r}.", cure=closest_or(study, records, known))
    return [records[study]]


def _progress(store: Store, record: StudyRecord) -> StudyProgress:
    if record.imported_from is not None:
        return _imported(store, record)
    study = understood(record)
    wanted = {_key(asdict(cell) | {"threads_asked": cell.threads}) for cell in cells(study)}
    rows = store.arrow(query_text("progress"), {"study": record.name}).to_pylist()
    protocols = read_protocols(store.layout, record.name)
    newest_of: dict[tuple[object, ...], Mapping[str, Any]] = {}
    for row in rows:
        # Measured in another way than is asked for now, a trial is missing again.
        current = row["place"] not in protocols or row["protocol"] in protocols[row["place"]]
        if current and 1 <= row["block"] <= study.repetitions and (cell := _key(row)) in wanted:
            newest_of[cell, row["block"], row["place"]] = row
    done = list(newest_of.values())
    planned = dict.fromkeys((place for place, _ in record.places), len(wanted) * study.repetitions)
    asked = {place for place, _ in record.places}
    counted = [row for row in done if row["place"] in asked]
    return StudyProgress(
        study=record.name,
        asked_at=record.asked_at,
        machines=_machines(record.places, planned, done),
        failures=dict(Counter(row["reason"] or "unknown" for row in counted if row["status"] != "ok").most_common()),
        newest_at=max((row["started_at"] for row in counted), default=None),
    )


def _imported(store: Store, record: StudyRecord) -> StudyProgress:
    """Of another tool's study: it had planned some runs, and those that were done are here."""
    query = "select place, status, reason, started_at from trials where study = ? and imported_from is not null"
    rows = store.arrow(query, [record.name]).to_pylist()
    return StudyProgress(
        study=record.name,
        asked_at=record.asked_at,
        machines=_machines(record.places, record.imported_planned, rows),
        failures={},
        newest_at=max((row["started_at"] for row in rows if row["started_at"] is not None), default=None),
        imported_from=record.imported_from,
    )


def _machines(
    places: Sequence[tuple[str, str]], planned: Mapping[str, int], rows: Sequence[Mapping[str, Any]]
) -> tuple[MachineProgress, ...]:
    count = Counter((row["place"], row["status"] == "ok") for row in rows)
    return tuple(
        MachineProgress(
            place=place, name=name, planned=planned.get(place, 0), ok=count[place, True], failed=count[place, False]
        )
        for place, name in places
    )


def _key(row: Mapping[str, Any]) -> tuple[object, ...]:
    """What tells the cells of a study apart."""
    return tuple(row[name] for name in ("model", "task", "batch_size", "threads_asked", "dtype", "environment"))


def understood(record: StudyRecord) -> Study:
    """The study of `record`. Raises StoreError where its keys are not those of this version."""
    try:
        return study_from_json(record.definition)
    except ValidationError as error:
        raise StoreError(
            f"{record.file}: this Joulefleet does not understand the study ({error.error_count()} mistakes).",
            cure="Use the version that ran it, or a newer one.",
        ) from error
