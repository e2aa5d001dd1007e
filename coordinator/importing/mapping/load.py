"""A mapping's YAML file into a record: every mistake at once, each with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from coordinator.importing.mapping.spec import CommonMapping
from coordinator.importing.mapping.validate import check_mapping
from joulefleet.errors import StudyError
from joulefleet.study.spec import Name
from joulefleet.yamlfile.problems import Mistake, describe, details
from joulefleet.yamlfile.reader import YamlDocument, read_yaml

AnyMapping = TypeVar("AnyMapping", bound=CommonMapping)

_CURE = "Mend the lines named; docs/how-to-import.md explains each key, `--schema` prints them."


def load_mapping(path: Path, kind: type[AnyMapping]) -> tuple[AnyMapping, dict[str, Any]]:
    """The mapping in the file at `path`, and as it was given. Raises StudyError that names every mistake."""
    try:
        document = read_yaml(path)
    except StudyError as error:
        raise StudyError(error.problems, cure=_CURE) from error
    return mapping_of(document, kind, name=str(path)), document.data


def mapping_of(document: YamlDocument, kind: type[AnyMapping], *, name: str) -> AnyMapping:
    """The mapping in `document`. Raises StudyError that names every mistake with its line."""
    adapter = TypeAdapter(kind)
    try:
        # By way of JSON: pydantic's strict mode takes no "5" for 5, and still takes a list for a tuple.
        mapping: AnyMapping = adapter.validate_json(json.dumps(document.data), strict=True)
    except ValidationError as error:
        schema = adapter.json_schema()
        mistakes = [describe(detail, schema, whole="the mapping") for detail in details(error)]
        raise _refusal(document, name, mistakes) from error
    if found := check_mapping(mapping):
        raise _refusal(document, name, found)
    return mapping


def check_study_name(name: str | None, path: Path) -> str:
    """The study's `name`, of --study or of the mapping at `path`. Raises StudyError where it is none."""
    if name is None:
        raise StudyError(f"{path}: the study has no name.", cure="Give it one: `name:` in the mapping, or --study.")
    try:
        return TypeAdapter(Name).validate_python(name)
    except ValidationError as error:
        text = f"{name!r} is no name of a study: letters, digits and . _ + - only, 63 at most."
        raise StudyError(text, cure="Name it otherwise with --study.") from error


def mapping_json_schema(kind: type[CommonMapping]) -> dict[str, Any]:
    """The JSON schema of a mapping, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **TypeAdapter(kind).json_schema()}


def _refusal(document: YamlDocument, name: str, mistakes: list[Mistake]) -> StudyError:
    lined = sorted({(document.line_of(mistake.location), mistake.text) for mistake in mistakes})
    return StudyError([f"{name}:{line}: {text}" for line, text in lined], cure=_CURE)
