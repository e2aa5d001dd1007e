"""Reads the YAML file of a mapping into a record, and reports all its mistakes together, each with its line."""

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

_CURE = "Fix these lines; docs/how-to-import.md explains each key, and `--schema` prints the JSON schema."


def load_mapping(path: Path, kind: type[AnyMapping]) -> tuple[AnyMapping, dict[str, Any]]:
    """Read the mapping in the file at `path`; return it as a record and as plain data. Raises StudyError."""
    try:
        document = read_yaml(path)
    except StudyError as error:
        raise StudyError(error.problems, cure=_CURE) from error
    return mapping_of(document, kind, name=str(path)), document.data


def mapping_of(document: YamlDocument, kind: type[AnyMapping], *, name: str) -> AnyMapping:
    """Return the mapping in `document`, which messages call `name`. Raises StudyError with all mistakes."""
    adapter = TypeAdapter(kind)
    try:
        # Validated as JSON: strict mode then refuses "5" for 5, and still takes a list for a tuple.
        mapping: AnyMapping = adapter.validate_json(json.dumps(document.data), strict=True)
    except ValidationError as error:
        schema = adapter.json_schema()
        mistakes = [describe(detail, schema, whole="the mapping") for detail in details(error)]
        raise _refusal(document, name, mistakes) from error
    if mistakes := check_mapping(mapping):
        raise _refusal(document, name, mistakes)
    return mapping


def check_study_name(name: str | None, path: Path) -> str:
    """Return `name`, from --study or from the mapping at `path`. Raises StudyError unless a study can have it."""
    if name is None:
        raise StudyError(f"{path}: the study has no name.", cure="Give it one: `name:` in the mapping, or --study.")
    try:
        return TypeAdapter(Name).validate_python(name)
    except ValidationError as error:
        text = f"{name!r} is no valid name of a study."
        cure = "Give --study a name of at most 63 letters, digits and . _ + -, which begins with a letter or digit."
        raise StudyError(text, cure=cure) from error


def mapping_json_schema(kind: type[CommonMapping]) -> dict[str, Any]:
    """Return the JSON schema of the mapping `kind`, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **TypeAdapter(kind).json_schema()}


def _refusal(document: YamlDocument, name: str, mistakes: list[Mistake]) -> StudyError:
    lined = sorted({(document.line_of(mistake.location), mistake.text) for mistake in mistakes})
    return StudyError([f"{name}:{line}: {text}" for line, text in lined], cure=_CURE)
