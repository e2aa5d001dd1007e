"""Records as JSON: a value without a JSON form becomes text, and a float that is not finite becomes null."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any


def json_text(value: Any, *, indent: int | None = 2) -> str:
    """Return `value` as JSON text; records and other values become what `plain` makes of them."""
    return json.dumps(plain(value), indent=indent, ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """Return `value` as plain JSON data. A record becomes an object of its fields and its properties."""
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
