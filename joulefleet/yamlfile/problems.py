"""Mistakes that pydantic finds in a file that a user wrote, in plain English and with their location in the file."""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from joulefleet.errors import did_you_mean
from joulefleet.yamlfile.reader import Location

UNKNOWN_KEY = ("unexpected_keyword_argument", "extra_forbidden")
"""pydantic's names of a key that is not known."""

_MISSING = ("missing", "missing_argument")
"""pydantic's names of a missing key, whose location ends in that key."""

_KEY = "[key]"
"""Last element that pydantic adds to the location of a key whose text is refused."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake: its location in the file, and what is wrong."""

    location: Location
    text: str
    rests_on: tuple[Location, ...] = ()
    """The values that together make the mistake, where `location` alone does not: fixing one of them may cure it."""


def details(error: ValidationError) -> list[Any]:
    """Return pydantic's record of each mistake, without those that follow from another one."""
    every: list[Any] = error.errors(include_url=False)
    # pydantic counts only the good items of a list, so that a bad one makes it too short as well.
    return [
        detail
        for detail in every
        if detail["type"] != "too_short"
        or not any(related(detail["loc"], other["loc"]) for other in every if other is not detail)
    ]


def describe(detail: Any, schema: dict[str, Any], *, whole: str) -> Mistake:
    """Return the mistake that one of `details` records.

    `schema` is the JSON schema of the file, and `whole` names the file as a whole in the message.
    """
    location = location_of(detail)
    where = ".".join(str(part) for part in location) or whole
    if detail["type"] in UNKNOWN_KEY:
        known = _known_keys(location[:-1], schema)
        close = did_you_mean(str(location[-1]), known)
        hint = f"; {close}" if close else f"; known here: {', '.join(known)}." if known else "."
        return Mistake(location, f"{where}: unknown key{hint}")
    if detail["type"] in _MISSING:
        return Mistake(location[:-1], f"{where}: missing.")
    if detail["type"] == "dataclass_type":
        return Mistake(location, f"{where}: must be a mapping of keys to values.")
    got = detail["input"]
    shown = "" if isinstance(got, dict | list) else f", not {textwrap.shorten(json.dumps(got), 60)}"
    message = re.sub(r"^\w+ should ", "must ", str(detail["msg"])).replace(" after validation", "")
    return Mistake(location, f"{where}: {message}{shown}.")


def location_of(detail: Any) -> Location:
    """Return where in the file one of `details` lies."""
    location: Location = tuple(detail["loc"])
    return location[:-1] if location[-1:] == (_KEY,) and detail["type"] not in UNKNOWN_KEY else location


def related(one: Location, other: Location) -> bool:
    """Tell whether one location lies in the other, or is the same."""
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def _known_keys(location: Location, schema: dict[str, Any]) -> list[str]:
    """Return the keys that `schema` allows at `location`."""
    node: Any = schema
    for part in location:
        node = _follow(schema, node)
        if isinstance(part, int):
            node = node.get("items", {})
        elif part in node.get("properties", {}):
            node = node["properties"][part]
        else:
            inner: Any = node.get("additionalProperties") or next(iter(node.get("patternProperties", {}).values()), {})
            node = inner if isinstance(inner, dict) else {}
    return sorted(_follow(schema, node).get("properties", {}))


def _follow(schema: dict[str, Any], node: Any) -> dict[str, Any]:
    """Return the schema that `node` refers to, or its first alternative that is not null."""
    while isinstance(node, dict):
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
        elif "anyOf" in node:
            node = next((option for option in node["anyOf"] if option.get("type") != "null"), {})
        else:
            return node
    return {}
