"""A study's YAML file into a `Study`: every mistake at once, each with its line."""

from __future__ import annotations

import copy
import json
import os
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from joulefleet.errors import StudyError, closest_or
from joulefleet.study.spec import Study
from joulefleet.study.validate import check_study
from joulefleet.yamlfile.problems import UNKNOWN_KEY, Mistake, describe, details, location_of, related
from joulefleet.yamlfile.reader import Location, YamlDocument, parse_yaml, read_yaml

_ADAPTER: TypeAdapter[Study] = TypeAdapter(Study)

_PART_LENGTH: dict[str | int, int] = {"environments": 1, "models": 3, "tasks": 3, "proofs": 3}
"""Length of the location of a part that a study can lack, by the study's key; 2 under every other key."""

_SMALLEST: dict[str, Any] = {"name": "unnamed", "repetitions": 1, "models": {"unnamed": {}}, "tasks": {"unnamed": {}}}
"""Values of the keys that no study can lack, in place of missing or refused ones."""


def shipped_studies() -> list[str]:
    """Return the names of the studies that come with Joulefleet."""
    folder = resources.files("joulefleet.study") / "shipped"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_study(name_or_path: str) -> tuple[Study, Path]:
    """Return the study in a file, or the shipped one of that name, and the folder that its paths are relative to.

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
    """Return the study in `document`. Raises StudyError that names every mistake with its line."""
    try:
        study = _validate(document.data)
    except ValidationError as error:
        schema = _ADAPTER.json_schema()
        mistakes = [describe(detail, schema, whole="the study") for detail in details(error)]
        mistakes += _mistakes_elsewhere(document.data, error)
        raise _refusal(document, name, mistakes) from error
    mistakes = check_study(study)
    if mistakes:
        raise _refusal(document, name, mistakes)
    return study


def study_json_schema() -> dict[str, Any]:
    """Return the JSON schema of a study file, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_ADAPTER.json_schema()}


def study_to_json(study: Study) -> dict[str, Any]:
    """Return `study` as plain JSON data."""
    data: dict[str, Any] = _ADAPTER.dump_python(study, mode="json")
    return data


def study_from_json(data: dict[str, Any]) -> Study:
    """Return the study of which `study_to_json` made `data`."""
    return _validate(data)


def _validate(data: Any) -> Study:
    # By way of JSON: pydantic's strict mode takes no "5" for 5, and still takes a list for a tuple.
    return _ADAPTER.validate_json(json.dumps(data), strict=True)


def _refusal(document: YamlDocument, name: str, mistakes: list[Mistake]) -> StudyError:
    lined = sorted({(document.line_of(m.location), m.text) for m in mistakes})
    return StudyError(
        [f"{name}:{line}: {text}" for line, text in lined],
        cure="Fix the lines named; `joulefleet plan --schema` has every key.",
    )


def _mistakes_elsewhere(data: Any, error: ValidationError) -> list[Mistake]:
    """Return what `check_study` says of the parts of a study that `error` does not refuse.

    A mistake that rests on a refused part is left out: it may disappear when that part is fixed.
    """
    refused = {_refused_part(detail) for detail in details(error)}
    if () in refused:
        return []
    rest = copy.deepcopy(data)
    # The innermost first: what encloses it may be removed as well.
    for *above, last in sorted(refused, key=len, reverse=True):
        parent = rest
        for part in above:
            parent = parent[part]
        if isinstance(last, int):
            # An item of a list stays, so that the other proofs keep their numbers.
            parent[last] = {"model": "refused", "task": "refused"}
        else:
            parent.pop(last, None)
    mistakes = check_study(_validate(_SMALLEST | {key: value for key, value in rest.items() if value != {}}))
    return [
        mistake
        for mistake in mistakes
        if mistake.location not in refused
        and not any(related(part, other) for part in refused for other in mistake.rests_on or (mistake.location,))
    ]


def _refused_part(detail: Any) -> Location:
    """Return the location of the smallest part without which the study has no such mistake."""
    location = location_of(detail)
    return location if detail["type"] in UNKNOWN_KEY else location[: _PART_LENGTH.get(next(iter(location), ""), 2)]
