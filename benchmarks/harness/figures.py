"""A figure of a benchmark: a measured value, its bound, and what its peers reached in the same run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured value and the bound it is judged by."""

    benchmark: str
    value: float
    unit: str
    bound: float
    at_most: bool = True
    """Whether the bound is the largest allowed value; otherwise it is the smallest."""
    peers: Mapping[str, float] = field(default_factory=dict)
    """Values of the peers, by name. For a ratio: both of its terms, with the unit in the name."""

    @property
    def ok(self) -> bool:
        """Whether the value keeps the bound. NaN never does."""
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    def entry(self, *, smoke: bool) -> dict[str, Any]:
        """Return the figure for the closing JSON line; a smoke run has no bound and no judgement."""
        shown = {
            "benchmark": self.benchmark,
            "value": _rounded(self.value),
            "unit": self.unit,
            "peers": {name: _rounded(value) for name, value in self.peers.items()},
        }
        return shown | ({"smoke": True} if smoke else {"bound": self.bound, "ok": self.ok})


def ratio(benchmark: str, measured: float, peer_measured: float, *, peer: str, unit: str, bound: float) -> Figure:
    """Return the figure `measured / peer_measured`, at most `bound`; both are in `unit` and of the same run."""
    return Figure(
        benchmark=benchmark,
        value=measured / peer_measured,
        unit=f"times {peer}",
        bound=bound,
        peers={f"Joulefleet, {unit}": measured, f"{peer}, {unit}": peer_measured},
    )


def _rounded(value: float) -> float | None:
    """Return `value` with four decimals; None for NaN and infinities, which JSON does not have."""
    return round(value, 4) if math.isfinite(value) else None
