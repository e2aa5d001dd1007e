"""Records as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from coordinator.cli.render.json import plain


@dataclass(frozen=True, slots=True)
class Half:
    """A record with a property."""

    whole: float

    @property
    def half(self) -> float:
        """Half of `whole`."""
        return self.whole / 2


def test_properties_count_as_well_as_fields() -> None:
    """A property is a result that a program needs as well."""
    assert plain((Half(2.0),)) == [{"whole": 2.0, "half": 1.0}]


def test_nan_and_infinity_become_null() -> None:
    """JSON has no NaN and no infinity."""
    assert plain({"a": math.nan, "b": math.inf, "c": 1.5}) == {"a": None, "b": None, "c": 1.5}


def test_every_type_that_a_query_returns_has_a_form() -> None:
    """Times as ISO 8601, durations in seconds, whole decimals as integers, bytes as hexadecimal digits."""
    values = [datetime(2026, 1, 2, tzinfo=UTC), timedelta(minutes=1), Decimal(3), Decimal("1.5"), b"\x01\xff", 1j]
    assert plain(values) == ["2026-01-02T00:00:00+00:00", 60.0, 3, 1.5, "01ff", "1j"]
    json.dumps(plain(values), allow_nan=False)
