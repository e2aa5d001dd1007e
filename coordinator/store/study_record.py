"""A study as a store keeps it: what was asked, of which machines, and what it was resolved to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from coordinator.store.port import CampaignStore
from joulefleet.errors import StoreError
from joulefleet.plan.expand import Pinned, comparands
from joulefleet.study.load import study_to_json


def study_record(
    pinned: Pinned, *, machines: Mapping[str, str], places: Mapping[str, str], store: CampaignStore
) -> dict[str, Any]:
    """The record; `machines` and `places` are ids and names of those that take part now.

    Those of earlier runs stay in it: what they measured is part of the study.
    """
    study = pinned.study
    before = store.last_record(study.name)
    return {
        "study": study_to_json(study),
        "store_layout": 1,
        "machines": _named("machine_id", before.get("machines", []), machines),
        "places": _named("place", before.get("places", []), places)
        if _same_placement(before, pinned)
        else (_named("place", [], places)),
        "comparands": [asdict(comparand) for comparand in comparands(study)],
        "models": {name: model.digest for name, model in pinned.models.items()},
        "tasks": {name: task.digest for name, task in pinned.tasks.items()},
    }


def refuse_imported(study: str, tool: str) -> StoreError:
    """The error where `study`, which shall be run, has the name of one that was imported from `tool`."""
    return StoreError(
        f"study {study} of this store was imported from {tool}: its trials have no blocks, and none can be added.",
        cure="Give the study another name, or name another --store.",
    )


def check_not_imported(study: str, last: Mapping[str, Any]) -> None:
    """Raise StoreError where `last`, the newest record of `study`, which shall be run, is that of an import."""
    if "imported" in last:
        raise refuse_imported(study, str(last["imported"]["from"]))


def _same_placement(before: Mapping[str, Any], pinned: Pinned) -> bool:
    asked = before.get("study", {}).get("placement", "every-machine")
    return bool(asked == pinned.study.placement)


def _named(key: str, before: list[dict[str, str]], now: Mapping[str, str]) -> list[dict[str, str]]:
    names = {entry[key]: entry["name"] for entry in before} | dict(now)
    return [{key: identity, "name": name} for identity, name in sorted(names.items())]
