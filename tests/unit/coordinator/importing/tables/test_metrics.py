"""The metrics of a run in the units of the schema."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from coordinator.importing.mapping.spec import (
    CommonMetrics,
    CpuColumn,
    EnergyColumn,
    MachineRecord,
    MemoryColumn,
    Metrics,
    MomentColumn,
    MomentUnit,
    NumberColumn,
    QualityColumn,
    TimeColumn,
)
from coordinator.importing.model import Identity, ImportedMachine, Values
from coordinator.importing.problems import ImportProblems
from coordinator.importing.tables.metrics import joules_of, metric_columns, moment, parsed_moment, values_of
from tests.support.import_rows import table_row

AHEAD = timezone(timedelta(hours=2))


def convert(
    cells: dict[str, str], metrics: CommonMetrics, record: MachineRecord | None = None, items: int | None = None
) -> tuple[Values, list[str]]:
    """Return the metrics of a row with these `cells`, and the problems."""
    problems = ImportProblems()
    machine = ImportedMachine(name="bench", record=record or MachineRecord())
    identity = Identity(model="m", task="t", machine=machine, items=items)
    values = values_of(table_row(cells, problems), metrics, identity, UTC)
    return values, list(problems.messages)


def test_every_metric_is_converted() -> None:
    """The value is the number times the unit times the scale."""
    metrics = Metrics(
        window_s=TimeColumn(column="w", unit="ms"),
        cpu_percent=CpuColumn(column="c", unit="fraction of all cores"),
        cpu_seconds=TimeColumn(column="s", scale=2.0),
        mean_rss_bytes=MemoryColumn(column="m", unit="MiB"),
        peak_rss_bytes=MemoryColumn(column="p", unit="percent of memory"),
        items=NumberColumn(column="i", scale=0.1),
        tokens=NumberColumn(column="t"),
        quality=QualityColumn(column="q", metric="accuracy"),
        started_at=MomentColumn(column="b", unit="unix seconds"),
    )
    cells = {"w": "1500", "c": "0.5", "s": "3", "m": "2", "p": "25", "i": "30", "t": "7", "q": "0.9", "b": "60"}
    values, problems = convert(cells, metrics, MachineRecord(logical_cpus=8, memory_bytes=1000))
    assert not problems
    assert values == Values(
        window_s=1.5,
        cpu_percent=400.0,
        cpu_seconds=6.0,
        mean_rss_bytes=2 << 20,
        peak_rss_bytes=250,
        items=3,
        tokens=7,
        quality=0.9,
        quality_metric="accuracy",
        started_at=datetime(1970, 1, 1, 0, 1, tzinfo=UTC),
    )


def test_an_empty_cell_is_null_and_never_zero() -> None:
    """The tool did not measure it."""
    metrics = CommonMetrics(cpu_seconds=TimeColumn(column="s"), items=NumberColumn(column="i"))
    values, problems = convert({"s": " ", "i": ""}, metrics)
    assert not problems
    assert (values.cpu_seconds, values.items) == (None, None)


def test_items_of_the_mapping_count_where_there_is_no_column() -> None:
    """They are the same for every run."""
    assert convert({"x": ""}, CommonMetrics(), items=5)[0].items == 5


@pytest.mark.parametrize(
    ("cell", "metrics", "problem"),
    [
        ("-1", CommonMetrics(cpu_seconds=TimeColumn(column="x")), "x is below 0; fix the cell or empty it."),
        ("0", Metrics(window_s=TimeColumn(column="x")), "x is 0; fix the cell or empty it."),
        ("1e308", CommonMetrics(cpu_seconds=TimeColumn(column="x", unit="h")), "x is 1e+308, too large in its unit."),
        ("1.5", CommonMetrics(items=NumberColumn(column="x")), "x is 1.5, no whole number."),
        ("1e17", CommonMetrics(tokens=NumberColumn(column="x")), "x is 1e+17, no whole number."),
        (
            "5",
            CommonMetrics(peak_rss_bytes=MemoryColumn(column="x", unit="percent of memory")),
            "x cannot be converted without memory_bytes of the machine; give it in the mapping.",
        ),
        (
            "5",
            CommonMetrics(cpu_percent=CpuColumn(column="x", unit="percent of all cores")),
            "x cannot be converted without logical_cpus of the machine; give it in the mapping.",
        ),
        (
            "1e10",
            CommonMetrics(mean_rss_bytes=MemoryColumn(column="x", unit="GB")),
            "x is more memory than any machine has; check its unit in the mapping.",
        ),
        (
            "1e20",
            Metrics(started_at=MomentColumn(column="x", unit="unix seconds")),
            "x is 1e+20 s after 1970, no possible moment.",
        ),
        (
            "noon",
            Metrics(started_at=MomentColumn(column="x")),
            "x is 'noon', no date and time such as 2024-05-17T10:01:02.",
        ),
    ],
)
def test_an_impossible_cell_is_a_problem_and_has_no_value(cell: str, metrics: CommonMetrics, problem: str) -> None:
    """It is never replaced by a guess."""
    values, problems = convert({"x": cell}, metrics)
    assert problems == [f"t.csv:2: {problem}"]
    assert values == Values()


def test_energy_may_be_below_zero() -> None:
    """A counter that wrapped leaves such a sum; the traces decide what to do about it."""
    metrics = Metrics(energy_reported_j=EnergyColumn(column="e", unit="Wh", scale=0.5))
    assert joules_of(table_row({"e": "-2"}, ImportProblems()), metrics) == -3600.0
    assert joules_of(table_row({"e": "-2"}, ImportProblems()), Metrics()) is None


@pytest.mark.parametrize(
    ("text", "hour"), [("2024-05-17T10:00:00", 8), ("2024-05-17T10:00:00Z", 10), ("2024-05-17 10:00:00-01:00", 11)]
)
def test_a_date_without_a_zone_is_one_of_the_mapping(text: str, hour: int) -> None:
    """A date with a zone keeps its own."""
    assert parsed_moment(text, AHEAD) == datetime(2024, 5, 17, hour, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "0001-01-01T00:00:00", "2024-13-01"])
def test_a_text_that_is_no_moment_is_none(text: str) -> None:
    """The first moment of the calendar would lie before it in UTC."""
    assert parsed_moment(text, AHEAD) is None


@pytest.mark.parametrize(("unit", "text"), [("unix seconds", "90"), ("unix milliseconds", "90000")])
def test_seconds_since_1970_are_moments(unit: MomentUnit, text: str) -> None:
    """An empty cell is none."""
    assert moment(table_row({"x": text}, ImportProblems()), "x", unit, AHEAD) == datetime(
        1970, 1, 1, 0, 1, 30, tzinfo=UTC
    )
    assert moment(table_row({"x": ""}, ImportProblems()), "x", unit, AHEAD) is None


def test_the_columns_of_the_metrics_are_named_with_their_keys() -> None:
    """A missing column is then reported with the key that needs it."""
    metrics = Metrics(energy_reported_j=EnergyColumn(column="e"), items=NumberColumn(column="i"))
    assert dict(metric_columns(metrics)) == {"metrics.energy_reported_j": "e", "metrics.items": "i"}
