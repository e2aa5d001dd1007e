"""The record that a run makes of its study, and the names of imported studies, which no run may take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from coordinator.store.port import CampaignStore
from joulefleet.errors import StoreError
from joulefleet.plan.expand import Pinned, comparands
from joulefleet.store.records import ComparandRecord, StudyRecord
from joulefleet.study.load import study_to_json


def study_record(
    pinned: Pinned, *, machines: Mapping[str, str], places: Mapping[str, str], store: CampaignStore
) -> StudyRecord:
    """Return the record of `pinned`; `machines` and `places` are ids and names of those that take part now.

    Those of earlier runs stay in it, as what they measured is part of the study. Raises StoreError.
    """
    study = pinned.study
    before = store.last_record(study.name)
    same_placement = before is not None and before.definition.get("placement") == study.placement
    return StudyRecord(
        definition=study_to_json(study),
        machines=_merged(before.machines if before else (), machines),
        places=_merged(before.places if before and same_placement else (), places),
        comparands=tuple(ComparandRecord(**asdict(comparand)) for comparand in comparands(study)),
        requested_at=datetime.now(tz=UTC),
        model_digests={name: model.digest for name, model in pinned.models.items()},
        task_digests={name: task.digest for name, task in pinned.tasks.items()},
    )


def imported_study(study: str, tool: str) -> StoreError:
    """Return the error for a run of `study`, whose name a study has that was imported from `tool`."""
    return StoreError(
        f"study {study} of this store was imported from {tool}: its trials have no blocks, and none can be added.",
        cure="Give the study another name, or name another --store.",
    )


def check_not_imported(study: str, last: StudyRecord | None) -> None:
    """Raise StoreError where `last`, the newest record of `study`, is that of an import."""
    if last is not None and last.imported_from is not None:
        raise imported_study(study, last.imported_from)


def _merged(before: Sequence[tuple[str, str]], now: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((dict(before) | dict(now)).items()))
