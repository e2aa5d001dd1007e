"""Conversion to the units of the schema."""

from __future__ import annotations

from datetime import UTC
from typing import get_args

import pytest

from coordinator.importing.mapping.spec import CpuUnit, EnergyUnit, MemoryUnit, TimeUnit
from coordinator.importing.mapping.units import (
    BYTES,
    JOULES,
    PERCENT,
    SECONDS,
    SHARES,
    cpu_factor,
    is_of_all_cores,
    memory_factor,
    zone_of,
)


def test_every_unit_of_the_mapping_has_a_factor() -> None:
    """A unit that the types allow must not fail during the import."""
    assert set(JOULES) == set(get_args(EnergyUnit))
    assert set(SECONDS) == set(get_args(TimeUnit))
    assert set(PERCENT) == set(get_args(CpuUnit))
    assert set(BYTES) | set(SHARES) == set(get_args(MemoryUnit))
    assert not set(BYTES) & set(SHARES)


@pytest.mark.parametrize(
    ("unit", "cpus", "factor"),
    [
        ("percent of one core", None, 1.0),
        ("fraction of one core", None, 100.0),
        ("percent of all cores", 8, 8.0),
        ("fraction of all cores", 8, 800.0),
        ("fraction of all cores", None, None),
    ],
)
def test_cpu_use_is_in_percent_of_one_core(unit: CpuUnit, cpus: int | None, factor: float | None) -> None:
    """100 means one core fully used, as in measured trials."""
    assert cpu_factor(unit, cpus) == factor
    assert is_of_all_cores(unit) == ("all" in unit)


@pytest.mark.parametrize(
    ("unit", "memory", "factor"),
    [
        ("GB", None, 1e9),
        ("GiB", None, 2.0**30),
        ("percent of memory", 1000, 10.0),
        ("fraction of memory", 1000, 1000.0),
        ("percent of memory", None, None),
    ],
)
def test_memory_is_in_bytes(unit: MemoryUnit, memory: int | None, factor: float | None) -> None:
    """A share needs the size of the machine's memory."""
    assert memory_factor(unit, memory) == factor


def test_utc_needs_no_database_of_time_zones() -> None:
    """Slim containers have none."""
    assert zone_of("UTC") is UTC


@pytest.mark.parametrize("name", ["Europe/Atlantis", "", "../etc/passwd", "/etc/passwd"])
def test_an_unknown_zone_is_an_error(name: str) -> None:
    """And no path leads out of the database."""
    with pytest.raises((ValueError, OSError, LookupError)):
        zone_of(name)
