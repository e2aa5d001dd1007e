"""Progress of the studies of a store, in trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from joulefleet.errors import QueryError, StoreError, closest_or
from joulefleet.plan.expand import cells
from joulefleet.plan.trial import CELL_COLUMNS, cell_columns
from joulefleet.query.store import Store
from joulefleet.query.views import query_text
from joulefleet.store.records import StudyRecord, newest, read_protocols
from joulefleet.study.load import study_from_json
from joulefleet.study.spec import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineProgress:
    """Progress of one place: a machine, or a class of machines that share its trials."""

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
    """Progress of a study: the trials that its newest version plans, one for each cell, block and place."""

    study: str
    requested_at: datetime
    machines: tuple[MachineProgress, ...]
    failures: Mapping[str, int]
    """Number of failed trials by reason, most frequent first."""
    newest_at: datetime | None
    """Start of the newest trial."""
    imported_from: str | None = None
    """Tool that measured an imported study; missing are the runs that it had planned and never did."""

    @property
    def planned(self) -> int:
        """Trials planned: repetitions × cells × places."""
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
    """Return the progress of `study`, or of each study in `store` sorted by name.

    Raises QueryError where the store has no such study, StoreError where a study's definition has keys
    that this version does not know.
    """
    records = newest(store.studies)
    return tuple(_progress(store, record) for record in select_records(records, study))


def select_records(records: Mapping[str, StudyRecord], study: str | None) -> list[StudyRecord]:
    """Return the record of `study`, or all records by name. Raises QueryError where there is no such study."""
    if study is None:
        return [records[name] for name in sorted(records)]
    if study not in records:
        names = f"It has {', '.join(sorted(records))}." if records else "It has none yet."
        raise QueryError(f"The store has no study {study!r}.", cure=closest_or(study, records, names))
    return [records[study]]


def _progress(store: Store, record: StudyRecord) -> StudyProgress:
    if record.imported_from is not None:
        return _progress_of_import(store, record)
    study = study_in(record)
    planned_cells = {_key(cell_columns(cell)) for cell in cells(study)}
    rows = store.arrow(query_text("progress"), {"study": record.name}).to_pylist()
    protocols = read_protocols(store.layout, record.name)
    newest_of: dict[tuple[object, ...], Mapping[str, Any]] = {}
    for row in rows:
        # A trial that was measured by another protocol than the study has now is missing again.
        current = row["place"] not in protocols or row["protocol"] in protocols[row["place"]]
        if current and 1 <= row["block"] <= study.repetitions and (cell := _key(row)) in planned_cells:
            newest_of[cell, row["block"], row["place"]] = row
    done = list(newest_of.values())
    planned = dict.fromkeys((place for place, _ in record.places), len(planned_cells) * study.repetitions)
    counted = [row for row in done if row["place"] in planned]
    return StudyProgress(
        study=record.name,
        requested_at=record.requested_at,
        machines=_machines(record.places, planned, done),
        failures=dict(Counter(row["reason"] or "unknown" for row in counted if row["status"] != "ok").most_common()),
        newest_at=max((row["started_at"] for row in counted), default=None),
    )


def _progress_of_import(store: Store, record: StudyRecord) -> StudyProgress:
    assert record.imported is not None
    query = "select place, status, reason, started_at from trials where study = ? and imported_from is not null"
    rows = store.arrow(query, [record.name]).to_pylist()
    return StudyProgress(
        study=record.name,
        requested_at=record.requested_at,
        machines=_machines(record.places, record.imported.planned, rows),
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
    """Return the values that identify a cell of a study."""
    return tuple(row[name] for name in CELL_COLUMNS)


def study_in(record: StudyRecord) -> Study:
    """Return the study of `record`. Raises StoreError where its keys are not those of this version."""
    try:
        return study_from_json(record.definition)
    except ValidationError as error:
        raise StoreError(
            f"{record.file}: this Joulefleet does not understand the study ({error.error_count()} mistakes).",
            cure="Use the version that ran it, or a newer one.",
        ) from error
