"""The record of an imported study, as a store keeps it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from coordinator.importing.mapping.spec import CommonMapping
from coordinator.importing.model import Package
from coordinator.importing.problems import Complaints, quoted
from coordinator.importing.rows import attempt_id
from joulefleet.digest import digest
from joulefleet.store.records import ComparandRecord, ImportRecord, StudyRecord


def import_record(study: str, package: Package, mapping: CommonMapping, given: Mapping[str, Any]) -> StudyRecord:
    """Return the record of `package` as the study called `study`; `given` is the mapping as its file has it."""
    planned = Counter(identity.machine.machine_id for identity in package.planned)
    names = {identity.machine.machine_id: identity.machine.name for identity in package.planned}
    models = dict.fromkeys(identity.model for identity in package.planned)
    tasks = dict.fromkeys(identity.task for identity in package.planned)
    return StudyRecord(
        definition={
            "name": study,
            "description": mapping.description,
            "models": {name: {} for name in models},
            "tasks": {name: {} for name in tasks},
        },
        machines=tuple(sorted(names.items())),
        places=tuple(sorted(names.items())),
        comparands=tuple(
            ComparandRecord(name=name, kind="distillation", teacher=pair.teacher, student=pair.student)
            for name, pair in mapping.pairs.items()
        ),
        asked_at=datetime.now(tz=UTC),
        imported=ImportRecord(
            tool=package.tool,
            planned=dict(sorted(planned.items())),
            content=digest([sorted(attempt_id(study, package.tool, run) for run in package.runs), given]),
            mapping=given,
        ),
    )


def check_pairs(mapping: CommonMapping, package: Package, name: str) -> None:
    """Raise StudyError where a pair names a model that no run is of; `name` is the mapping's file."""
    complaints = Complaints()
    models = sorted({identity.model for identity in package.planned})
    for pair_name, pair in mapping.pairs.items():
        for side in ("teacher", "student"):
            model = getattr(pair, side)
            if model not in models:
                known = ", ".join(models)
                complaints.add(name, f"pairs.{pair_name}.{side}: no run is of {quoted(model)}; there are {known}.")
    complaints.settle()
