"""The definition of an attempt's row: every column with its unit and meaning, and how a row is built.

A row holds everything about an attempt, with its readings, so that one file can be written atomically.
Columns carry their units in their names. A null in a measured column always has a reason in another
column (`reason`, `energy_reason`, `quality_reason`, or the `reason` in `energies`).
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import isnan
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from joulefleet.measurement import Energy, Phase, PowerLimit, Readings
from joulefleet.versions import SCHEMA_VERSION

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["ATTEMPT_SCHEMA", "COLUMNS", "Column", "attempt_table", "columns_of", "complete_row"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: Arrow type, unit (empty where it has none) and meaning."""

    name: str
    type: pa.DataType
    unit: str
    meaning: str


_TEXT, _INT, _REAL, _FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()
_WHEN = pa.timestamp("us", tz="UTC")
_TEXTS = pa.map_(pa.string(), pa.string())

PHASE_TYPE = pa.struct(
    [
        ("phase", _TEXT),
        ("start_ns", _INT),
        ("end_ns", _INT),
        ("seconds", _REAL),
        ("cpu_s", _REAL),
        ("machine_cpu_s", _REAL),
    ]
)
ENERGY_TYPE = pa.struct(
    [
        ("phase", _TEXT),
        ("domain", _TEXT),
        ("source", _TEXT),
        ("provenance", _TEXT),
        ("joules", _REAL),
        ("reason", _TEXT),
    ]
)
POWER_LIMIT_TYPE = pa.struct([("domain", _TEXT), ("name", _TEXT), ("watts", _REAL), ("window_s", _REAL)])
READINGS_TYPE = pa.struct(
    [
        ("channel", _TEXT),
        ("unit", _TEXT),
        ("kind", _TEXT),
        ("source", _TEXT),
        ("t_ns", pa.list_(_INT)),
        ("value", pa.list_(_REAL)),
    ]
)

COLUMNS: tuple[Column, ...] = (
    Column("schema_version", _INT, "", "Version of this schema."),
    Column("study", _TEXT, "", "Name of the study."),
    Column(
        "imported_from", _TEXT, "", "Tool whose output the trial was imported from; null where Joulefleet measured it."
    ),
    Column("trial_id", _TEXT, "", "Identity of the trial: study, cell, repetition, place and protocol."),
    Column("attempt_id", _TEXT, "", "Identity of the attempt, and the name of its file."),
    Column("kind", _TEXT, "", "trial, or pilot (a short trial that fixes the number of passes)."),
    Column("attempt", _INT, "", "1 for the first try."),
    Column("round", _INT, "", "1 for the first run of the block."),
    Column("place", _TEXT, "", "Machine, or class of machines, that the trial belongs to."),
    Column("protocol", _TEXT, "", "Digest of everything that changes what is measured."),
    Column("machine", _TEXT, "", "Name of the machine, for people."),
    Column("machine_id", _TEXT, "", "Stable identity of the physical machine."),
    Column("cpu_model", _TEXT, "", "CPU model, from /proc/cpuinfo."),
    Column("sockets", _INT, "", "CPU packages."),
    Column("physical_cores", _INT, "", "Cores, not hardware threads."),
    Column("logical_cpus", _INT, "", "Hardware threads."),
    Column("memory_bytes", _INT, "B", "Main memory."),
    Column("virtualised", _FLAG, "", "Whether the machine is a virtual one."),
    Column("environment", _TEXT, "", "Environment in which the work ran: the study's label."),
    Column("environment_id", _TEXT, "", "Digest of the environment record."),
    Column("runtime", _TEXT, "", "Container runtime; none on bare metal."),
    Column("engine", _TEXT, "", "What did the inference, with its version."),
    Column("image", _TEXT, "", "Container image."),
    Column("kernel", _TEXT, "", "Release of the kernel."),
    Column("kernel_command_line", _TEXT, "", "Command line with which the kernel was booted."),
    Column("os", _TEXT, "", "Operating system."),
    Column("microcode", _TEXT, "", "CPU microcode."),
    Column("governor", _TEXT, "", "Frequency governor of CPU 0."),
    Column("turbo", _FLAG, "", "Whether turbo is allowed."),
    Column("smt", _FLAG, "", "Whether simultaneous multithreading is active."),
    Column("frequency_min_mhz", _REAL, "MHz", "Lowest frequency allowed."),
    Column("frequency_max_mhz", _REAL, "MHz", "Highest frequency allowed."),
    Column("numa_nodes", _INT, "", "NUMA nodes."),
    Column("energy_filter", _FLAG, "", "Whether the CPU adds noise to its energy counters on purpose."),
    Column("swap_bytes", _INT, "B", "Swap configured."),
    Column("cgroup_cpu_limit", _REAL, "CPUs", "CPU quota; null where unlimited."),
    Column("cgroup_memory_limit_bytes", _INT, "B", "Memory limit; null where unlimited."),
    Column("blas", _TEXT, "", "Linear algebra library of torch."),
    Column("libraries", _TEXTS, "", "Versions of the libraries that can change the results."),
    Column("model", _TEXT, "", "Name of the model in the study."),
    Column("task", _TEXT, "", "Name of the task in the study."),
    Column("batch_size", _INT, "items", "Factor."),
    Column("threads", _INT, "", "Factor: threads in use."),
    Column("threads_requested", _INT, "", "Factor: threads requested; 0 is one for every CPU."),
    Column("dtype", _TEXT, "", "Factor: number format of weights and activations."),
    Column("regime", _TEXT, "", "sustained or burst; never pooled."),
    Column("isolation", _TEXT, "", "warm (fork) or cold (new interpreter)."),
    Column("repetition", _INT, "", "Which repetition of the cell; equals the block where there are blocks."),
    Column("block", _INT, "", "Block: one repetition of every cell. 0 for pilots; null of imported trials."),
    Column("position", _INT, "", "Position in the block's order, from 1."),
    Column("predecessor", _TEXT, "", "The cell that ran before it on the machine."),
    Column("assignment", _TEXT, "", "Why the scheduler ran it at that time."),
    Column("comparison_group", _TEXT, "", "Cells with which it is compared, within its block and round."),
    Column("comparison_group_size", _INT, "cells", "Number of these cells, itself included."),
    Column("labels", _TEXTS, "", "Labels that the study gives to its trials."),
    Column("status", _TEXT, "", "ok or failed."),
    Column("reason", _TEXT, "", "Why it failed."),
    Column("message", _TEXT, "", "Message of the failure."),
    Column("stderr_tail", _TEXT, "", "End of the output of work that failed."),
    Column("flags", pa.list_(_TEXT), "", "Doubts about the measurement; they exclude nothing by themselves."),
    Column("started_at", _WHEN, "", "Wall clock at the start of the attempt."),
    Column("boot_id", _TEXT, "", "Identity of the kernel's boot."),
    Column("wall_s", _REAL, "s", "Duration of the attempt, on the agent."),
    Column("window_s", _REAL, "s", "Duration of the measured window."),
    Column("work_s", _REAL, "s", "Duration of the passes by the work's own clock."),
    Column("passes", _INT, "", "Whole passes over the items in the window."),
    Column("item_repeats", _INT, "", "How often each item is processed: 2 in the 2x arm."),
    Column("items", _INT, "items", "Items of the list × passes."),
    Column("tokens", _INT, "tokens", "Real tokens, special tokens included."),
    Column("padded_tokens", _INT, "tokens", "Tokens computed, padding included."),
    Column("energy_j", _REAL, "J", "Energy of the window in energy_scope, by counters; null with energy_reason."),
    Column("energy_scope", _TEXT, "", "package, or package+dram."),
    Column("energy_package_j", _REAL, "J", "Energy of the packages alone: the scope that all machines have."),
    Column("energy_source", _TEXT, "", "The sensor of energy_j."),
    Column(
        "energy_provenance",
        _TEXT,
        "",
        "measured; or simulated: the counters were not those of the kernel the trial ran on.",
    ),
    Column("sysfs_root", _TEXT, "", "Folder in which the counters were looked for."),
    Column("power_limits", pa.list_(POWER_LIMIT_TYPE), "", "Power limits in force."),
    Column("energy_reason", _TEXT, "", "Why energy_j is null."),
    Column("energy_modelled_j", _REAL, "J", "Modelled energy of the window: never measured."),
    Column("modelled_formula", _TEXT, "", "Formula of energy_modelled_j."),
    Column("modelled_parameters", pa.map_(_TEXT, _REAL), "", "Parameters of that formula."),
    Column(
        "energy_reported_j",
        _REAL,
        "J",
        "Energy that another tool reported, of imported trials; measured or modelled, that is not known.",
    ),
    Column("reported_by", _TEXT, "", "Tool that reported energy_reported_j, and its name for it."),
    Column("energy_repair", _TEXT, "", "How imported joules were repaired, with the tool's own value."),
    Column("baseline_s", _REAL, "s", "Duration of the idle baseline."),
    Column("baseline_j", _REAL, "J", "Measured energy of the idle baseline, in energy_scope."),
    Column("cpu_percent", _REAL, "%", "CPU of the work in the window; 100 is one core."),
    Column("cpu_seconds", _REAL, "s", "CPU time of the work in the window."),
    Column("observer_cpu_s", _REAL, "s", "CPU time of agent, coordinator and Ray in the window."),
    Column("foreign_cpu_s", _REAL, "s", "CPU time of everything else in the window."),
    Column("steal_s", _REAL, "s", "CPU time the hypervisor took in the window."),
    Column("temperature_baseline_c", _REAL, "°C", "The hottest package at the end of the idle baseline."),
    Column("temperature_max_c", _REAL, "°C", "The hottest package in the window."),
    Column("frequency_mean_mhz", _REAL, "MHz", "Mean of the window's readings over the CPUs that are watched."),
    Column("frequency_min_mhz_seen", _REAL, "MHz", "Lowest of these readings."),
    Column("throttle_events", _INT, "", "Number of times that heat slowed cores and packages in the window."),
    Column("pressure_cpu_s", _REAL, "s", "Time in which some task of the machine waited for a CPU."),
    Column("pressure_memory_s", _REAL, "s", "Time in which some task waited for memory."),
    Column("pressure_io_s", _REAL, "s", "Time in which some task waited for a disk."),
    Column("cgroup_cpu_s", _REAL, "s", "CPU time of the work's control group, which others may share."),
    Column(
        "cgroup_throttled_s",
        _REAL,
        "s",
        "Time for which CPU quotas, its own or an enclosing group's, stopped it.",
    ),
    Column("cgroup_peak_bytes", _INT, "B", "Highest memory of the group in the window."),
    Column("base_rss_bytes", _INT, "B", "Resident memory of the work's process at its start."),
    Column("base_anon_bytes", _INT, "B", "The anonymous part of it."),
    Column("base_file_bytes", _INT, "B", "The file-backed part of it."),
    Column("peak_rss_bytes", _INT, "B", "Highest resident memory read in the window."),
    Column("peak_anon_bytes", _INT, "B", "Highest anonymous part."),
    Column("peak_file_bytes", _INT, "B", "Highest file-backed part (mapped weights count here)."),
    Column("mean_rss_bytes", _INT, "B", "Mean of the readings in the window."),
    Column("work_peak_bytes", _INT, "B", "Memory that the work added: peak_rss_bytes - base_rss_bytes."),
    Column("pss_bytes", _INT, "B", "Proportional share, after the window."),
    Column("uss_bytes", _INT, "B", "Unique share, after the window."),
    Column("latency_p50_s", _REAL, "s", "Median latency of a batch."),
    Column("latency_p90_s", _REAL, "s", "90th percentile."),
    Column("latency_p99_s", _REAL, "s", "99th percentile."),
    Column("load_s", _REAL, "s", "Duration of loading the weights."),
    Column("load_energy_j", _REAL, "J", "Measured energy of loading, in energy_scope."),
    Column("log_bytes", _INT, "B", "Size of what the work wrote to its output in the window."),
    Column("nice", _INT, "", "Niceness of the work, in force."),
    Column("cpus", pa.list_(_INT), "", "Logical CPUs on which the work was allowed."),
    Column("oom_score_adj", _INT, "", "Adjustment of the out-of-memory score, in force."),
    Column("omp_num_threads", _TEXT, "", "OMP_NUM_THREADS of the work."),
    Column("privileges", _TEXT, "", "Capabilities that the work kept; `none` as a rule."),
    Column("weights_source", _TEXT, "", "seeded or pretrained; never pooled."),
    Column("weights_digest", _TEXT, "", "SHA-256 of the weight files that were loaded."),
    Column("parameters", _INT, "", "Parameters of the model."),
    Column("model_class", _TEXT, "", "Class of the model."),
    Column("attention", _TEXT, "", "Implementation of attention."),
    Column("quality", _REAL, "", "Score of the window's own outputs."),
    Column("quality_metric", _TEXT, "", "accuracy or pearson."),
    Column("quality_reason", _TEXT, "", "Why quality is null."),
    Column("phases", pa.list_(PHASE_TYPE), "", "Each phase; times in ns of CLOCK_MONOTONIC."),
    Column("energies", pa.list_(ENERGY_TYPE), "", "Joules by phase, domain and source."),
    Column("latencies_ns", pa.list_(_INT), "ns", "One a batch of the window, in order; thinned above 20,000."),
    Column("readings", pa.list_(READINGS_TYPE), "", "One struct a channel; thinned above 20,000 values."),
)

ATTEMPT_SCHEMA = pa.schema(
    [pa.field(c.name, c.type, metadata={"unit": c.unit, "meaning": c.meaning}) for c in COLUMNS],
    metadata={"joulefleet_schema_version": str(SCHEMA_VERSION)},
)


_NAMES = tuple(column.name for column in COLUMNS)


def columns_of(record: DataclassInstance) -> dict[str, Any]:
    """Return the fields of `record` whose names are those of columns."""
    names = {field.name for field in fields(record)}
    return {name: getattr(record, name) for name in _NAMES if name in names}


def complete_row(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with every column of the schema: `values`, and null in all others.

    `values` may hold mappings, tuples, and tuples of `Phase`, `Energy`, `PowerLimit` and `Readings`: they
    become the lists and structs of the schema. Raises ValueError for a column that the schema does not have.
    """
    unknown = values.keys() - set(_NAMES)
    if unknown:
        raise ValueError(f"no columns of the schema: {sorted(unknown)}")
    plain = {name: _plain(value) for name, value in values.items()}
    return dict.fromkeys(_NAMES) | {"schema_version": SCHEMA_VERSION} | plain


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return list(value.items())
    return [_struct(element) for element in value] if isinstance(value, tuple) else value


def _struct(element: Any) -> Any:
    match element:
        case Phase():
            values = asdict(element) | {"phase": element.name, "seconds": element.seconds}
            return {field.name: values[field.name] for field in PHASE_TYPE}
        case Readings(channel=channel, t_ns=t_ns, value=value):
            name = {"channel": channel.name, "unit": channel.unit, "kind": channel.kind, "source": channel.source}
            return name | {"t_ns": t_ns, "value": _with_nulls(value)}
        case Energy() | PowerLimit():
            return asdict(element)
    return element


def _with_nulls(values: Sequence[float]) -> Sequence[float | None]:
    """Return `values` with None for NaN; the same object where there is no NaN."""
    return [None if isnan(value) else value for value in values] if any(map(isnan, values)) else values


def attempt_table(row: Mapping[str, Any]) -> pa.Table:
    """Return one attempt's row as a table. Raises ValueError when a column is missing or unknown.

    Numbers of readings and latencies may be `array`s: they are used without a copy.
    """
    if row.keys() != set(_NAMES):
        raise ValueError(f"columns differ from the schema: {sorted(row.keys() ^ set(_NAMES))}")
    long: dict[str, Callable[[Any], pa.Array]] = {"readings": _readings, "latencies_ns": _latencies}
    plain = pa.schema([field for field in ATTEMPT_SCHEMA if field.name not in long])
    table = pa.Table.from_pylist([{name: row[name] for name in plain.names}], schema=plain)
    columns = [
        long[field.name](row[field.name]) if field.name in long else table.column(field.name)
        for field in ATTEMPT_SCHEMA
    ]
    return pa.table(columns, schema=ATTEMPT_SCHEMA)


def _latencies(values: Sequence[int] | None) -> pa.Array:
    return pa.nulls(1, pa.list_(_INT)) if values is None else _lists([values], _INT)


def _readings(every: Sequence[Mapping[str, Any]] | None) -> pa.Array:
    if every is None:
        return pa.nulls(1, pa.list_(READINGS_TYPE))
    columns = []
    for field in READINGS_TYPE:
        values = [series[field.name] for series in every]
        lists = pa.types.is_list(field.type)
        columns.append(_lists(values, field.type.value_type) if lists else pa.array(values, field.type))
    structs = pa.StructArray.from_arrays(columns, fields=list(READINGS_TYPE))
    return pa.ListArray.from_arrays(pa.array([0, len(structs)], pa.int32()), structs)


def _lists(values: Sequence[Sequence[float]], kind: pa.DataType) -> pa.Array:
    parts = [
        pa.Array.from_buffers(kind, len(part), [None, pa.py_buffer(part)])
        if isinstance(part, array)
        else pa.array(part, kind)
        for part in values
    ]
    offsets = [0, *itertools.accumulate(len(part) for part in parts)]
    flat = pa.concat_arrays(parts) if parts else pa.array([], kind)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat)
