"""Statistics of trials: pure functions of numbers, which know neither stores nor terminals."""

from __future__ import annotations

from joulefleet.stats.meta_analysis import MachineEffect, Pooled, on_every_machine, pool
from joulefleet.stats.paired import Estimate, paired_ratio
from joulefleet.stats.welch import unpaired_ratio

__all__ = ["Estimate", "MachineEffect", "Pooled", "on_every_machine", "paired_ratio", "pool", "unpaired_ratio"]
