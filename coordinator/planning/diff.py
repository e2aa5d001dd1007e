"""Changes of a study since its last run on a store, and what they mean for its trials. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joulefleet.store.records import StudyRecord

_HARMLESS = ("description", "labels", "thresholds", "seed")
_HARMLESS_MEASURES = ("sampling_hz", "modelled", "timeout_s")
"""Keys of `measure` that are no part of a protocol."""
_PARTS = ("models", "tasks", "pairs")


def changes(before: StudyRecord | None, now: StudyRecord) -> list[str]:
    """Return one line for each change; none where `before` is None, as the study is new.

    Trials with an unchanged protocol are reused, whatever else has changed.
    """
    if before is None:
        return []
    old, new = before.definition, now.definition
    lines = [*_repetitions(old, new)]
    for part in _PARTS:
        lines += _part(part, old.get(part) or {}, new.get(part) or {}, _digests(part, before), _digests(part, now))
    lines += _measure(old.get("measure") or {}, new.get("measure") or {})
    lines += _factors(old.get("factors") or {}, new.get("factors") or {})
    for key in sorted({*old, *new} - {*_PARTS, "name", "repetitions", "measure", "factors"}):
        if old.get(key) != new.get(key):
            lines.append(_other(key, old.get(key), new.get(key)))
    return lines


def _repetitions(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    was, now = old["repetitions"], new["repetitions"]
    if now > was:
        return [f"repetitions {was} → {now}: every machine runs {now - was} blocks more, the others are reused"]
    if now < was:
        return [f"repetitions {was} → {now}: blocks beyond {now} stay in the store and are not planned"]
    return []


def _part(
    part: str, old: Mapping[str, Any], new: Mapping[str, Any], was: Mapping[str, str], now: Mapping[str, str]
) -> list[str]:
    one = part.removesuffix("s")
    again = {
        "models": "every pair with it is measured again, because the difference could otherwise come from the day",
        "tasks": "its cells are measured in every block; other tasks are reused",
        "pairs": "the models that it joins are measured again together",
    }[part]
    lines = [f"new {one} {name}: {again}" for name in new if name not in old]
    lines += [f"{one} {name} is gone: its trials stay in the store" for name in old if name not in new]
    lines += [
        f"{one} {name} has changed: {again}"
        for name in new
        if name in old
        and (was.get(name), old[name] if part == "pairs" else None)
        != (now.get(name), new[name] if part == "pairs" else None)
    ]
    return lines


def _digests(part: str, record: StudyRecord) -> Mapping[str, str]:
    return {"models": record.model_digests, "tasks": record.task_digests}.get(part, {})


def _measure(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    lines = []
    for key in sorted(key for key in {*old, *new} if old.get(key) != new.get(key)):
        if key == "timeout_s":
            what = "trials that ran into it stay failed without --retry-quarantined"
        elif key in _HARMLESS_MEASURES:
            what = "new trials use it, and nothing is measured again for it"
        else:
            what = "every trial is measured in another way, so again"
        lines.append(f"measure.{key} has changed: {what}")
    return lines


def _factors(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    lines = []
    for key in sorted(key for key in {*old, *new} if old.get(key) != new.get(key)):
        was, now = old.get(key) or [], new.get(key) or []
        more = ", ".join(str(level) for level in now if level not in was)
        gone = ", ".join(str(level) for level in was if level not in now)
        if more:
            lines.append(f"factors.{key}: {more} new: its cells are measured in every block, others are reused")
        if gone:
            lines.append(f"factors.{key}: {gone} gone: their trials stay in the store")
    return lines


def _other(key: str, old: Any, new: Any) -> str:
    if key in _HARMLESS:
        return f"{key} has changed: nothing is measured again for it"
    if key == "primary":
        return "primary has changed: nothing is measured again, and earlier trials are exploratory now"
    if key == "placement":
        return "placement has changed: trials belong to other places, so everything is measured again"
    return f"{key} has changed: the trials that it concerns are measured in another way, so again"
