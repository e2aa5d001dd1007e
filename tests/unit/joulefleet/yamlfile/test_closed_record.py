"""Records that a user's YAML file is read into."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from pydantic import TypeAdapter, ValidationError

from joulefleet.yamlfile.closed_record import ClosedRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner(ClosedRecord):
    """A record in a record."""

    size: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer(Inner):
    """A record that inherits the configuration."""

    inner: Inner


@pytest.mark.parametrize("data", ['{"inner": {}, "sise": 2}', '{"inner": {"sise": 2}}'])
def test_an_unknown_key_is_refused(data: str) -> None:
    """A misspelt key would otherwise have no effect, without any notice."""
    with pytest.raises(ValidationError, match="sise"):
        TypeAdapter(Outer).validate_json(data)


def test_known_keys_are_taken() -> None:
    """The schema for editors knows them too."""
    assert TypeAdapter(Outer).validate_json('{"inner": {"size": 2}, "size": 3}') == Outer(inner=Inner(size=2), size=3)
    assert TypeAdapter(Outer).json_schema()["additionalProperties"] is False
