"""Statistics of trials: pure functions of numbers, no store and no terminal."""

from __future__ import annotations

from joulefleet.analysis.statistics.machines import MachineEffect, Pooled, on_every_machine, pool
from joulefleet.analysis.statistics.paired import Estimate, paired_ratio
from joulefleet.analysis.statistics.unpaired import unpaired_ratio

__all__ = ["Estimate", "MachineEffect", "Pooled", "on_every_machine", "paired_ratio", "pool", "unpaired_ratio"]
