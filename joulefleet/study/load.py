"""A study's YAML file into a `Study`: every mistake at once, each with its line."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from joulefleet.errors import StudyError, closest_or
from joulefleet.study.spec import Study
from joulefleet.study.validate import check_study
from joulefleet.yamlfile.problems import KEY, MISSING, Mistake, describe, details, related
from joulefleet.yamlfile.reader import Location, YamlDocument, parse_yaml, read_yaml

_ADAPTER: TypeAdapter[Study] = TypeAdapter(Study)


def shipped_studies() -> list[str]:
    """The names of the studies that come with Joulefleet."""
    folder = resources.files("joulefleet.study") / "shipped"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_study(name_or_path: str) -> tuple[Study, Path]:
    """The study of a file, or a shipped one by its name, and the folder its paths are relative to.

    Raises StudyError that names every mistake with its line.
    """
    if name_or_path in shipped_studies():
        text = (resources.files("joulefleet.study") / "shipped" / f"{name_or_path}.yaml").read_text(encoding="utf-8")
        return study_of(parse_yaml(text, name=name_or_path), name=name_or_path), Path.cwd()
    path = Path(name_or_path)
    if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises for a name that is too long
        hint = closest_or(name_or_path, shipped_studies(), "")
        raise StudyError(
            f"{name_or_path}: neither a file nor a shipped study. {hint}".rstrip(),
            cure=f"Shipped: {', '.join(shipped_studies())}.",
        )
    return study_of(read_yaml(path), name=str(path)), path.resolve().parent


def study_of(document: YamlDocument, *, name: str) -> Study:
    """The study in `document`. Raises StudyError that names every mistake with its line."""
    try:
        study = _validate(document.data)
    except ValidationError as error:
        schema = _ADAPTER.json_schema()
        mistakes = [describe(detail, schema, whole="the study") for detail in details(error)]
        mistakes += _also_wrong(document.data, error)
        raise _refusal(document, name, mistakes) from error
    mistakes = check_study(study)
    if mistakes:
        raise _refusal(document, name, mistakes)
    return study


def study_json_schema() -> dict[str, Any]:
    """The JSON schema of a study file, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_ADAPTER.json_schema()}


def study_to_json(study: Study) -> dict[str, Any]:
    """`study` as plain JSON data."""
    data: dict[str, Any] = _ADAPTER.dump_python(study, mode="json")
    return data


def study_from_json(data: dict[str, Any]) -> Study:
    """The inverse of `study_to_json`."""
    return _validate(data)


def _validate(data: Any) -> Study:
    # By way of JSON: pydantic's strict mode takes no "5" for 5, and still takes a list for a tuple.
    return _ADAPTER.validate_json(json.dumps(data), strict=True)


def _refusal(document: YamlDocument, name: str, mistakes: list[Mistake]) -> StudyError:
    lined = sorted({(document.line_of(m.location), m.text) for m in mistakes})
    return StudyError(
        [f"{name}:{line}: {text}" for line, text in lined],
        cure="Mend the lines named; `joulefleet plan --schema` has every key.",
    )


def _also_wrong(data: Any, error: ValidationError) -> list[Mistake]:
    """What the check of meaning finds in the parts of the study that are not refused already."""
    refused: set[Location] = set()
    while isinstance(data, dict):
        found = {_original(data, refused, _culprit(detail)) for detail in details(error)}
        if () in found or found <= refused:
            break
        refused |= found
        try:
            rest = _validate({**_SMALLEST, **_without(data, refused)})
        except ValidationError as next_error:
            error = next_error
        else:
            moved = [replace(m, location=_original(data, refused, m.location)) for m in check_study(rest)]
            return [m for m in moved if not any(related(r, d) for r in refused for d in m.rests_on or (m.location,))]
    return []


_SMALLEST: dict[str, Any] = {"name": "unnamed", "repetitions": 1, "models": {"unnamed": {}}, "tasks": {"unnamed": {}}}
"""Stands in for what is missing or refused, so that the rest can be judged."""


def _culprit(detail: Any) -> Location:
    """What to leave out so that this mistake is gone: the value, or all that lacks a key."""
    location: Location = tuple(detail["loc"])
    return location[:-1] or location if detail["type"] in MISSING else location


def _without(data: Any, refused: set[Location], here: Location = ()) -> Any:
    """`data` without what is refused. Of a model or a task the name stays, as others refer to it."""
    if isinstance(data, list):
        return [_without(value, refused, (*here, i)) for i, value in enumerate(data) if (*here, i) not in refused]
    if not isinstance(data, dict):
        return data
    rest = {}
    for key, value in data.items():
        if (*here, key, KEY) in refused:
            continue
        if (*here, key) not in refused:
            rest[key] = _without(value, refused, (*here, key))
        elif here in (("models",), ("tasks",)):
            rest[key] = {}
    return rest


def _original(data: Any, refused: set[Location], location: Location) -> Location:
    """Where `location` of what `_without` left lies in `data`: items of lists have moved up."""
    found: Location = ()
    for part in location:
        if isinstance(data, list) and isinstance(part, int):
            index = [i for i in range(len(data)) if (*found, i) not in refused][part]
            data, found = data[index], (*found, index)
        else:
            data, found = data.get(part) if isinstance(data, dict) else None, (*found, part)
    return found
