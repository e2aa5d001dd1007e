"""What pydantic refuses of a file that a user wrote, as mistakes in plain English, each with its place in the file."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from joulefleet.errors import did_you_mean
from joulefleet.yamlfile.reader import Location

MISSING = ("missing", "missing_argument")
"""pydantic's names of a mistake that lies in what encloses its location."""

KEY = "[key]"
"""pydantic puts it behind the location of a key that is wrong itself."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake: where in the study, and what."""

    location: Location
    text: str
    rests_on: tuple[Location, ...] = ()
    """What it follows from, where that is not `location` alone: no mistake where these are mended."""


def details(error: ValidationError) -> list[Any]:
    """What pydantic says of each mistake."""
    found: list[Any] = error.errors(include_url=False)
    # pydantic counts only the good items of a list, so that a bad one makes it too short as well.
    return [
        detail
        for detail in found
        if detail["type"] != "too_short"
        or not any(related(detail["loc"], other["loc"]) for other in found if other is not detail)
    ]


def describe(detail: Any, schema: dict[str, Any], *, whole: str) -> Mistake:
    """One of `details`, of a file called `whole` in the messages whose JSON schema is `schema`."""
    location = _location(detail)
    where = ".".join(str(part) for part in location) or whole
    if detail["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        known = _known_keys(location[:-1], schema)
        close = did_you_mean(str(location[-1]), known)
        hint = f"; {close}" if close else f"; known here: {', '.join(known)}." if known else "."
        return Mistake(location, f"{where}: unknown key{hint}")
    if detail["type"] in MISSING:
        return Mistake(location[:-1], f"{where}: missing.")
    if detail["type"] == "dataclass_type":
        return Mistake(location, f"{where}: must be a mapping of keys to values.")
    got = detail["input"]
    shown = "" if isinstance(got, dict | list) else f", not {textwrap.shorten(json.dumps(got), 60)}"
    message = re.sub(r"^\w+ should ", "must ", str(detail["msg"])).replace(" after validation", "")
    return Mistake(location, f"{where}: {message}{shown}.")


def related(one: Location, other: Location) -> bool:
    """Whether one lies in the other."""
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def _location(detail: Mapping[str, Any]) -> Location:
    return tuple(part for part in detail["loc"] if part != KEY)


def _known_keys(location: Location, schema: dict[str, Any]) -> list[str]:
    """The keys that the schema knows at `location`."""
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
    while isinstance(node, dict):
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
        elif "anyOf" in node:
            node = next((option for option in node["anyOf"] if option.get("type") != "null"), {})
        else:
            return node
    return {}
