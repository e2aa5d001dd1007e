"""Reads YAML as plain data with the line of every value, and refuses what is more than data.

Refused, each with its line: tags (they can construct objects), anchors and aliases (a few lines of
them expand to gigabytes), duplicate keys, keys that are not text, several documents, deep nesting,
numbers and characters that JSON cannot carry, and files over 64 KiB.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joulefleet.errors import StudyError

MAX_BYTES = 1 << 16
"""Largest file, bytes: the slowest text of this size takes 3 s to refuse, a mebibyte takes a minute."""

MAX_DEPTH = 24
"""Deepest nesting of lists and mappings that is read; a study has about seven levels."""

# Everything else is text, also dates: a study has none, and a name may look like one.
_NOT_TEXT = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool", "null"))

Location = tuple[str | int, ...]
"""Path to a value: the keys of mappings and the indices of lists, from the outermost."""


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """Plain data (dict, list, str, int, float, bool, None) and the 1-based line of every path in it."""

    data: Any
    lines: dict[Location, int]

    def line_of(self, location: Location) -> int:
        """Return the line of `location`, or of the nearest enclosing value that has one."""
        for end in range(len(location), -1, -1):
            if location[:end] in self.lines:
                return self.lines[location[:end]]
        return 1


def read_yaml(path: Path) -> YamlDocument:
    """Read the file `path`. Raises StudyError with the line of each mistake."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise StudyError(
            f"{path}: cannot be read ({error.strerror}).", cure="Check the path and its rights."
        ) from error
    if len(raw) > MAX_BYTES:
        raise StudyError(
            f"{path}: over {MAX_BYTES >> 10} KiB; a study is a page or two.",
            cure="Put data into a file of its own and name it under `items: file:`.",
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise StudyError(f"{path}:{line}: not UTF-8.", cure="Save the file as UTF-8.") from error
    return parse_yaml(text, name=str(path))


def parse_yaml(text: str, *, name: str) -> YamlDocument:
    """Parse `text`; messages call it `name`. Raises StudyError with the line of each mistake."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    yaml = YAML(typ="safe", pure=True)
    try:
        problems = _forbidden(yaml.parse(text), name)
        if problems:
            raise StudyError(problems, cure="Write each value out, without anchors, aliases or tags.")
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise StudyError(f"{where}: not YAML: {error.problem or error.context}.", cure="Fix that line.") from error
    except (YAMLError, RecursionError, ValueError, ArithmeticError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StudyError(f"{name}: not YAML: {reason}.", cure="Fix the file.") from error
    if node is None:
        raise StudyError(f"{name}: empty.", cure="See `joulefleet plan --schema`, or begin with a shipped study.")
    builder = _Builder(name)
    data = builder.build(node, ())
    if builder.problems:
        raise StudyError(builder.problems, cure="Fix those lines.")
    return YamlDocument(data, builder.lines)


def _forbidden(events: Any, name: str) -> list[str]:
    """Return the problems of a stream of YAML events that is more than data; stops at about 20."""
    from ruamel.yaml import events as kinds

    problems, depth, documents = [], 0, 0
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, kinds.AliasEvent) or getattr(event, "anchor", None):
            problems.append(f"{name}:{line}: anchors and aliases are not allowed.")
        elif getattr(event, "ctag", None) is not None and str(event.ctag) not in ("", "None"):
            problems.append(f"{name}:{line}: the tag {event.ctag} is not allowed.")
        if isinstance(event, kinds.DocumentStartEvent):
            documents += 1
            if documents == 2:
                problems.append(f"{name}:{line}: a second document begins here; only one is allowed.")
        if isinstance(event, kinds.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                return [*problems, f"{name}:{line}: nested deeper than {MAX_DEPTH} levels."]
        elif isinstance(event, kinds.CollectionEndEvent):
            depth -= 1
        if len(problems) >= 20:
            break
    return problems


class _Builder:
    """Makes plain data of YAML nodes, and keeps the line of each and what is wrong with it."""

    def __init__(self, name: str) -> None:
        from ruamel.yaml import YAML

        self.name = name
        self.lines: dict[Location, int] = {}
        self.problems: list[str] = []
        self._scalars = YAML(typ="safe", pure=True).constructor

    def build(self, node: Any, location: Location) -> Any:
        from ruamel.yaml.nodes import MappingNode, SequenceNode

        self.lines.setdefault(location, node.start_mark.line + 1)
        if isinstance(node, MappingNode):
            return self._mapping(node, location)
        if isinstance(node, SequenceNode):
            return [self.build(child, (*location, index)) for index, child in enumerate(node.value)]
        if node.tag in _NOT_TEXT:
            return self._number(node)
        return self._text(node)

    def _mapping(self, node: Any, location: Location) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node.value, str) or key_node.tag == "tag:yaml.org,2002:merge":
                self._problem(key_node, "a key must be plain text.")
                continue
            key = self._text(key_node)
            if key in result:
                self._problem(key_node, f"the key {_shown(key)} is here a second time.")
                continue
            self.lines[(*location, key)] = key_node.start_mark.line + 1
            result[key] = self.build(value_node, (*location, key))
        return result

    def _text(self, node: Any) -> str:
        text: str = node.value
        if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text):
            self._problem(node, f"{_shown(text)} has a character that text cannot hold.")
        return text

    def _number(self, node: Any) -> Any:
        try:
            value = self._scalars.construct_object(node)
        except (ValueError, ArithmeticError, LookupError):
            self._problem(node, f"{_shown(node.value)} cannot be read as a number.")
            return None
        if isinstance(value, float) and not math.isfinite(value):
            self._problem(node, f"{_shown(node.value)} is not a finite number; put text in quotes.")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            self._problem(node, f"{_shown(node.value)} is beyond 64 bits; put text in quotes.")
        return value

    def _problem(self, node: Any, text: str) -> None:
        self.problems.append(f"{self.name}:{node.start_mark.line + 1}: {text}")


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 40 else text[:37] + "...")
