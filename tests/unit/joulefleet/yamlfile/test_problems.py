"""Mistakes that pydantic finds, in plain English."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from joulefleet.yamlfile.problems import Mistake, describe, details, related
from joulefleet.yamlfile.reader import Location


@dataclass(frozen=True)
class Inner:
    """A mapping in the file."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    count: Annotated[int, Field(ge=1)]
    size: int = 0


@dataclass(frozen=True)
class Outer:
    """The file."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    inner: Inner | None = None
    by_name: dict[Annotated[str, Field(pattern="^[a-z]+$")], Inner] | None = None
    levels: Annotated[tuple[int, ...], Field(min_length=1)] = (1,)


ADAPTER: TypeAdapter[Outer] = TypeAdapter(Outer)


def mistakes(data: Any) -> list[Mistake]:
    """Return the mistakes in `data`, which has some."""
    with pytest.raises(ValidationError) as caught:
        ADAPTER.validate_json(json.dumps(data), strict=True)
    return [describe(detail, ADAPTER.json_schema(), whole="the file") for detail in details(caught.value)]


@pytest.mark.parametrize(
    ("data", "location", "text"),
    [
        ([], (), "the file: must be a mapping of keys to values."),
        ({"iner": {}}, ("iner",), "iner: unknown key; did you mean inner?"),
        ({"inner": {"count": 1, "x": 1}}, ("inner", "x"), "inner.x: unknown key; known here: count, size."),
        ({"by_name": {"a": {"count": 1, "sizes": 1}}}, ("by_name", "a", "sizes"), "did you mean size?"),
        ({"inner": {}}, ("inner",), "inner.count: missing."),
        ({"inner": {"count": 0}}, ("inner", "count"), "inner.count: must be greater than or equal to 1, not 0."),
        ({"inner": {"count": "x" * 99}}, ("inner", "count"), "inner.count: must be a valid integer, not [...]."),
        ({"by_name": {"A": {"count": 1}}}, ("by_name", "A"), "by_name.A: must match pattern '^[a-z]+$', not \"A\"."),
    ],
)
def test_a_mistake_has_its_location_and_says_what_is_wrong(data: Any, location: Location, text: str) -> None:
    """A missing key lies in the mapping that lacks it, as it has no line of its own."""
    (mistake,) = mistakes(data)
    assert mistake.location == location
    assert mistake.text.endswith(text)


def test_a_list_of_wrong_items_is_not_too_short_as_well() -> None:
    """Only the good items of a list are counted; a list that is really empty is too short."""
    assert [mistake.location for mistake in mistakes({"levels": ["a"]})] == [("levels", 0)]
    assert [mistake.location for mistake in mistakes({"levels": []})] == [("levels",)]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("a",), ("a", "b"), True),
        (("a", "b"), ("a",), True),
        ((), ("a",), True),
        (("a", 0), ("a", 1), False),
        (("a",), ("b",), False),
    ],
)
def test_locations_are_related_where_one_lies_in_the_other(one: Location, other: Location, *, expected: bool) -> None:
    """The whole file encloses every location."""
    assert related(one, other) is expected
