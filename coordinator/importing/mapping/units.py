"""Conversion from the unit of a column to the unit of the schema. Pure."""

from __future__ import annotations

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from coordinator.importing.mapping.spec import CpuUnit, EnergyUnit, MemoryUnit, TimeUnit

JOULES: dict[EnergyUnit, float] = {"J": 1.0, "mJ": 1e-3, "kJ": 1e3, "Wh": 3600.0, "kWh": 3.6e6}
SECONDS: dict[TimeUnit, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0, "h": 3600.0}
PERCENT: dict[CpuUnit, float] = {
    "percent of one core": 1.0,
    "fraction of one core": 100.0,
    "percent of all cores": 1.0,
    "fraction of all cores": 100.0,
}
"""Factors to per cent of one core, or of all cores."""

BYTES: dict[MemoryUnit, float] = {
    "B": 1.0,
    "kB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "KiB": 2.0**10,
    "MiB": 2.0**20,
    "GiB": 2.0**30,
}
SHARES: dict[MemoryUnit, float] = {"percent of memory": 1e-2, "fraction of memory": 1.0}
"""Factors to a fraction of the machine's memory."""


def is_of_all_cores(unit: CpuUnit) -> bool:
    """Return whether `unit` refers to all cores, so that their number is needed to convert it."""
    return unit.endswith("all cores")


def cpu_factor(unit: CpuUnit, logical_cpus: int | None) -> float | None:
    """Return the factor from `unit` to per cent of one core; None if it needs the unknown number of cores."""
    if not is_of_all_cores(unit):
        return PERCENT[unit]
    return None if logical_cpus is None else PERCENT[unit] * logical_cpus


def memory_factor(unit: MemoryUnit, memory_bytes: int | None) -> float | None:
    """Return the factor from `unit` to bytes; None if it needs the unknown size of the memory."""
    if unit in BYTES:
        return BYTES[unit]
    return None if memory_bytes is None else SHARES[unit] * memory_bytes


def zone_of(name: str) -> tzinfo:
    """Return the time zone called `name`. Raises ValueError, OSError or LookupError if this machine has none."""
    # UTC must also work on a machine without a database of time zones.
    return UTC if name == "UTC" else ZoneInfo(name)
