"""Records and answers as JSON: what has no JSON of its own becomes text, and what is no number becomes null."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any


def plain(value: Any) -> Any:
    """`value` as plain JSON data. Of a record, the properties count as well as the fields."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case bytes():
            return value.hex()
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _ if is_dataclass(value):
            names = [field.name for field in fields(value)]
            names += [name for name, member in vars(type(value)).items() if isinstance(member, property)]
            return {name: plain(getattr(value, name)) for name in names}
    return str(value)
