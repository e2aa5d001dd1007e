"""What every benchmark ends with: one JSON line, and exit code 1 where a bound is missed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure against its bound. `at_most`: the bound is the largest value allowed, else the smallest."""

    benchmark: str
    value: float
    unit: str
    bound: float
    at_most: bool = True
    peers: Mapping[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the bound is kept."""
        return self.value <= self.bound if self.at_most else self.value >= self.bound


def finish(figures: list[Figure]) -> int:
    """Print the closing line; returns the exit code."""
    lines = [
        {
            "benchmark": figure.benchmark,
            "value": round(figure.value, 4),
            "unit": figure.unit,
            "bound": figure.bound,
            "peers": {name: round(value, 4) for name, value in figure.peers.items()},
            "ok": figure.ok,
        }
        for figure in figures
    ]
    print(json.dumps(lines[0] if len(lines) == 1 else lines))
    return 0 if all(figure.ok for figure in figures) else 1
