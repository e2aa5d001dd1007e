"""The metrics of a run in the units of the schema, from the columns that the mapping names."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime, tzinfo

from coordinator.importing.mapping.spec import (
    CommonMetrics,
    CpuColumn,
    MemoryColumn,
    Metrics,
    MomentUnit,
    NumberColumn,
    TimeColumn,
)
from coordinator.importing.mapping.units import JOULES, SECONDS, cpu_factor, memory_factor
from coordinator.importing.model import Identity, Values
from coordinator.importing.problems import quoted
from coordinator.importing.tables.identity import Row

_MAX_WHOLE = 2.0**53
"""Greatest whole number up to which all whole numbers are exact as floats."""


def metric_columns(metrics: CommonMetrics) -> Iterator[tuple[str, str]]:
    """Yield the path of each metric that `metrics` names, and its column."""
    for field in fields(metrics):
        source = getattr(metrics, field.name)
        if source is not None:
            yield f"metrics.{field.name}", source.column


def values_of(row: Row, metrics: CommonMetrics, identity: Identity, zone: tzinfo) -> Values:
    """Return the metrics of `row`, except energy; add a problem for each cell that is impossible."""
    machine, quality = identity.machine.record, metrics.quality
    window = metrics.window_s if isinstance(metrics, Metrics) else None
    start = metrics.started_at if isinstance(metrics, Metrics) else None
    return Values(
        window_s=None if window is None else above_zero(row, window.column, _seconds(window)),
        cpu_percent=_cpu(row, metrics.cpu_percent, machine.logical_cpus),
        cpu_seconds=None if (used := metrics.cpu_seconds) is None else not_below(row, used.column, _seconds(used)),
        mean_rss_bytes=_bytes(row, metrics.mean_rss_bytes, machine.memory_bytes),
        peak_rss_bytes=_bytes(row, metrics.peak_rss_bytes, machine.memory_bytes),
        items=identity.items if metrics.items is None else _count(row, metrics.items),
        tokens=None if metrics.tokens is None else _count(row, metrics.tokens),
        quality=None if quality is None else scaled(row, quality.column, quality.scale),
        quality_metric=None if quality is None else quality.metric,
        started_at=None if start is None else moment(row, start.column, start.unit, zone),
    )


def joules_of(row: Row, metrics: Metrics) -> float | None:
    """Return the energy of `row` in joules as the table states it; it may be below zero."""
    column = metrics.energy_reported_j
    return None if column is None else scaled(row, column.column, JOULES[column.unit] * column.scale)


def scaled(row: Row, column: str, factor: float) -> float | None:
    """Return the number in `column` times `factor`; None if the cell is empty."""
    value = row.number(column)
    if value is None:
        return None
    if not math.isfinite(value * factor):
        row.add_problem(f"{column} is {value:g}, too large in its unit.")
        return None
    return value * factor


def not_below(row: Row, column: str, factor: float | None, needs: str = "") -> float | None:
    """Return the number in `column` times `factor`; add a problem if it is below 0.

    Without a factor a number cannot be converted: the problem says that the mapping lacks the fact `needs`.
    """
    if factor is None:
        if row.text(column) is not None:
            row.add_problem(f"{column} cannot be converted without {needs} of the machine; give it in the mapping.")
        return None
    value = scaled(row, column, factor)
    if value is not None and value < 0:
        row.add_problem(f"{column} is below 0; fix the cell or empty it.")
        return None
    return value


def above_zero(row: Row, column: str, factor: float) -> float | None:
    """Return the number in `column` times `factor`; add a problem if it is not above 0."""
    value = not_below(row, column, factor)
    if value == 0:
        row.add_problem(f"{column} is 0; fix the cell or empty it.")
        return None
    return value


def moment(row: Row, column: str, unit: MomentUnit, zone: tzinfo) -> datetime | None:
    """Return the moment in `column`, in UTC; a date without a time zone is one of `zone`."""
    text = row.text(column)
    if text is None:
        return None
    if unit != "ISO 8601":
        seconds = scaled(row, column, 1.0 if unit == "unix seconds" else 1e-3)
        return None if seconds is None else _from_seconds(row, column, seconds)
    parsed = parsed_moment(text, zone)
    if parsed is None:
        row.add_problem(f"{column} is {quoted(text)}, no date and time such as 2024-05-17T10:01:02.")
    return parsed


def parsed_moment(text: str, zone: tzinfo) -> datetime | None:
    """Return the moment in `text` (ISO 8601), in UTC; None if it is none. Without a time zone it is one of `zone`."""
    try:
        parsed = datetime.fromisoformat(text)
        return (parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _from_seconds(row: Row, column: str, seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, tz=UTC)
    except (ValueError, OverflowError, OSError):
        row.add_problem(f"{column} is {seconds:g} s after 1970, no possible moment.")
        return None


def _seconds(column: TimeColumn) -> float:
    return SECONDS[column.unit] * column.scale


def _cpu(row: Row, column: CpuColumn | None, logical_cpus: int | None) -> float | None:
    if column is None:
        return None
    factor = cpu_factor(column.unit, logical_cpus)
    return not_below(row, column.column, None if factor is None else factor * column.scale, "logical_cpus")


def _bytes(row: Row, column: MemoryColumn | None, memory_bytes: int | None) -> int | None:
    if column is None:
        return None
    factor = memory_factor(column.unit, memory_bytes)
    value = not_below(row, column.column, None if factor is None else factor * column.scale, "memory_bytes")
    if value is not None and value > _MAX_WHOLE:
        row.add_problem(f"{column.column} is more memory than any machine has; check its unit in the mapping.")
        return None
    return None if value is None else round(value)


def _count(row: Row, column: NumberColumn) -> int | None:
    value = not_below(row, column.column, column.scale)
    # The product with a scale such as 0.1 may differ from a whole number in its last digits.
    if value is not None and (abs(value - round(value)) > 1e-9 * value or value > _MAX_WHOLE):
        row.add_problem(f"{column.column} is {value:g}, no whole number.")
        return None
    return None if value is None else round(value)
