"""A run's metrics in our units, from the columns that the mapping names."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo

from coordinator.importing.mapping.spec import CommonMetrics, MemoryColumn, Metrics, MomentUnit
from coordinator.importing.mapping.units import JOULES, SECONDS, cpu_factor, memory_factor
from coordinator.importing.model import Identity, Values
from coordinator.importing.problems import quoted
from coordinator.importing.tables.identity import Row

_MOST = 2.0**53
"""Whole numbers above it are not exact."""


def metric_columns(metrics: CommonMetrics) -> Iterator[tuple[str, str]]:
    """The columns that `metrics` need: the metric, and its column."""
    for name in (
        "energy_reported_j",
        "window_s",
        "started_at",
        "cpu_percent",
        "cpu_seconds",
        "mean_rss_bytes",
        "peak_rss_bytes",
        "items",
        "tokens",
        "quality",
    ):
        column = getattr(metrics, name, None)
        if column is not None:
            yield f"metrics.{name}", column.column


def values_of(row: Row, metrics: CommonMetrics, identity: Identity, zone: tzinfo) -> Values:
    """The metrics of `row`, with a complaint of each that cannot be; energy is not among them."""
    machine, cpu, quality = identity.machine.record, metrics.cpu_percent, metrics.quality
    per_core = None if cpu is None else cpu_factor(cpu.unit, machine.logical_cpus)
    window = metrics.window_s if isinstance(metrics, Metrics) else None
    start = metrics.started_at if isinstance(metrics, Metrics) else None
    return Values(
        window_s=None if window is None else above_zero(row, window.column, SECONDS[window.unit] * window.scale),
        cpu_percent=None
        if cpu is None
        else not_below(row, cpu.column, None if per_core is None else per_core * cpu.scale, "logical_cpus"),
        cpu_seconds=None
        if (used := metrics.cpu_seconds) is None
        else not_below(row, used.column, SECONDS[used.unit] * used.scale),
        mean_rss_bytes=_bytes(row, metrics.mean_rss_bytes, machine.memory_bytes),
        peak_rss_bytes=_bytes(row, metrics.peak_rss_bytes, machine.memory_bytes),
        items=identity.items
        if (items := metrics.items) is None
        else _whole(row, items.column, not_below(row, items.column, items.scale)),
        tokens=None
        if (tokens := metrics.tokens) is None
        else _whole(row, tokens.column, not_below(row, tokens.column, tokens.scale)),
        quality=None if quality is None else scaled(row, quality.column, quality.scale),
        quality_metric=None if quality is None else quality.metric,
        started_at=None if start is None else moment(row, start.column, start.unit, zone),
    )


def joules_of(row: Row, metrics: Metrics) -> float | None:
    """The energy of `row` in joules as the table has it, which may be below zero."""
    column = metrics.energy_reported_j
    return None if column is None else scaled(row, column.column, JOULES[column.unit] * column.scale)


def scaled(row: Row, column: str, factor: float) -> float | None:
    """The number in `column` times `factor`; None where nothing stands there."""
    value = row.number(column)
    if value is None:
        return None
    if not math.isfinite(value * factor):
        row.complain(f"{column} is {value:g}, too large in its unit.")
        return None
    return value * factor


def not_below(row: Row, column: str, factor: float | None, needs: str = "") -> float | None:
    """The number in `column` times `factor`, with a complaint where it is below 0."""
    if factor is None:
        if row.text(column) is not None:
            row.complain(f"{column} cannot be understood without {needs} of the machine; say it in the mapping.")
        return None
    value = scaled(row, column, factor)
    if value is not None and value < 0:
        row.complain(f"{column} is below 0; mend the cell or empty it.")
        return None
    return value


def above_zero(row: Row, column: str, factor: float) -> float | None:
    """The number in `column` times `factor`, with a complaint where it is not above 0."""
    value = not_below(row, column, factor)
    if value == 0:
        row.complain(f"{column} is 0; mend the cell or empty it.")
        return None
    return value


def moment(row: Row, column: str, unit: MomentUnit, zone: tzinfo) -> datetime | None:
    """The moment in `column`; that of `zone` where it names none."""
    text = row.text(column)
    if text is None:
        return None
    if unit != "ISO 8601":
        seconds = scaled(row, column, 1.0 if unit == "unix seconds" else 1e-3)
        return None if seconds is None else _from_seconds(row, column, seconds)
    found = parsed_moment(text, zone)
    if found is None:
        row.complain(f"{column} is {quoted(text)}, no date and time such as 2024-05-17T10:01:02.")
    return found


def parsed_moment(text: str, zone: tzinfo) -> datetime | None:
    """The moment that `text` says (ISO 8601); that of `zone` where it names none. None where it says none."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo is not None else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _from_seconds(row: Row, column: str, seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, tz=UTC)
    except (ValueError, OverflowError, OSError):
        row.complain(f"{column} is {seconds:g} s after 1970, no moment that can be.")
        return None


def _bytes(row: Row, column: MemoryColumn | None, memory_bytes: int | None) -> int | None:
    if column is None:
        return None
    factor = memory_factor(column.unit, memory_bytes)
    value = not_below(row, column.column, None if factor is None else factor * column.scale, "memory_bytes")
    if value is not None and value > _MOST:
        row.complain(f"{column.column} is more than any machine has; see its unit in the mapping.")
        return None
    return None if value is None else round(value)


def _whole(row: Row, column: str, value: float | None) -> int | None:
    # A scale such as 0.1 leaves the last digits of a float behind.
    if value is not None and (abs(value - round(value)) > 1e-9 * value or value > _MOST):
        row.complain(f"{column} is {value:g}, no whole number.")
        return None
    return None if value is None else round(value)
