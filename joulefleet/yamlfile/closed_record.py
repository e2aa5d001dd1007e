"""The base of the records that a user's YAML file is read into."""

from __future__ import annotations

from typing import ClassVar

from pydantic import ConfigDict


class ClosedRecord:
    """Base of frozen dataclasses that pydantic validates: a key that is no field is a mistake."""

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
