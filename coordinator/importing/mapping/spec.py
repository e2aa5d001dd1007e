"""The mapping as frozen records: the meaning of the columns and folders of another tool's output.

The YAML file (read by `coordinator.importing.mapping.load`) and the JSON schema for editors
(`joulefleet import experiment-runner --schema`) follow from these definitions. Rules that types cannot
express (a unit that needs the machine's memory, ...) are in `coordinator.importing.mapping.validate`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from joulefleet.study.spec import Name, Pair
from joulefleet.yamlfile.closed_record import ClosedRecord

ColumnName = Annotated[str, Field(min_length=1, max_length=1000, description="The column's name in the table.")]
Scale = Annotated[
    float,
    Field(gt=0, allow_inf_nan=False, description="Factor for the numbers in the column, in addition to the unit."),
]
Short = Annotated[str, Field(min_length=1, max_length=200)]
Count = Annotated[int, Field(ge=1, lt=2**53)]

EnergyUnit = Literal["J", "mJ", "kJ", "Wh", "kWh"]
TimeUnit = Literal["s", "ms", "us", "min", "h"]
CpuUnit = Literal["percent of one core", "fraction of one core", "percent of all cores", "fraction of all cores"]
MemoryUnit = Literal["B", "kB", "MB", "GB", "KiB", "MiB", "GiB", "percent of memory", "fraction of memory"]
MomentUnit = Literal["ISO 8601", "unix seconds", "unix milliseconds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberColumn(ClosedRecord):
    """A column of numbers, and their scale."""

    column: ColumnName
    scale: Scale = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyColumn(NumberColumn):
    """A column of energies."""

    unit: EnergyUnit = "J"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeColumn(NumberColumn):
    """A column of durations."""

    unit: TimeUnit = "s"


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuColumn(NumberColumn):
    """A column of CPU use. `... of all cores` needs `logical_cpus` of the machine."""

    unit: CpuUnit = "percent of one core"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryColumn(NumberColumn):
    """A column of memory. `... of memory` needs `memory_bytes` of the machine."""

    unit: MemoryUnit = "B"


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityColumn(NumberColumn):
    """A column of scores."""

    metric: Annotated[Short, Field(description="What is scored, such as accuracy.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentColumn(ClosedRecord):
    """A column of moments."""

    column: ColumnName
    unit: MomentUnit = "ISO 8601"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonMetrics(ClosedRecord):
    """The columns of the metrics that a mapping of any tool may name."""

    cpu_percent: Annotated[CpuColumn | None, Field(description="CPU use of the work.")] = None
    cpu_seconds: Annotated[TimeColumn | None, Field(description="CPU time of the work.")] = None
    mean_rss_bytes: Annotated[MemoryColumn | None, Field(description="Mean memory of the work.")] = None
    peak_rss_bytes: Annotated[MemoryColumn | None, Field(description="Highest memory of the work.")] = None
    items: Annotated[NumberColumn | None, Field(description="Number of items of the run.")] = None
    tokens: Annotated[NumberColumn | None, Field(description="Number of tokens of the run.")] = None
    quality: Annotated[QualityColumn | None, Field(description="Quality of the answers.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics(CommonMetrics):
    """The columns of the metrics that a mapping of Experiment Runner may name."""

    energy_reported_j: Annotated[EnergyColumn | None, Field(description="The run's energy; needs `reported_by`.")] = (
        None
    )
    window_s: Annotated[TimeColumn | None, Field(description="Duration of the measured window.")] = None
    started_at: Annotated[
        MomentColumn | None,
        Field(description="Start of the run. Default: the first Date of the PowerJoular trace, if there is one."),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NameSource(ClosedRecord):
    """The source of a name: exactly one of a fixed value and a column."""

    value: Annotated[Name | None, Field(description="The same name for every run.")] = None
    column: ColumnName | None = None
    values: Annotated[dict[str, Name], Field(description="Names by the text in the column.")] = field(
        default_factory=dict
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberFactor(ClosedRecord):
    """The source of a numeric factor: exactly one of a fixed value and a column."""

    value: Count | None = None
    column: ColumnName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFactor(ClosedRecord):
    """The source of a textual factor: exactly one of a fixed value and a column."""

    value: Short | None = None
    column: ColumnName | None = None
    values: Annotated[dict[str, Short], Field(description="Levels by the text in the column.")] = field(
        default_factory=dict
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorSources(ClosedRecord):
    """The sources of the factors that have a column in the schema. All other factors are labels."""

    batch_size: NumberFactor | None = None
    threads: NumberFactor | None = None
    dtype: Annotated[TextFactor | None, Field(description="Number format, such as float32.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderFacts(ClosedRecord):
    """Facts about all runs of a folder."""

    model: Name | None = None
    task: Name | None = None
    machine: Name | None = None
    batch_size: Count | None = None
    threads: Count | None = None
    dtype: Short | None = None
    items: Annotated[Count | None, Field(description="Number of items of each run.")] = None
    labels: dict[Short, Short] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRule(FolderFacts):
    """Facts about the runs in all folders that match a pattern. The facts of several rules for a folder add up."""

    match: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1000,
            description="The path of the table's folder, relative to the imported folder (which is `.`). "
            "* ? [] match within one name, ** matches any number of folders.",
        ),
    ]
    leave_out: Annotated[bool, Field(description="Do not import these folders.")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRecord(ClosedRecord):
    """Facts about a machine on which the other tool measured."""

    machine_id: Annotated[Name | None, Field(description="Its id, if it took part in other studies too.")] = None
    cpu_model: Annotated[Short | None, Field(description="As in /proc/cpuinfo.")] = None
    sockets: Count | None = None
    physical_cores: Count | None = None
    logical_cpus: Annotated[Count | None, Field(description="Number of hardware threads.")] = None
    memory_bytes: Count | None = None
    virtualised: bool | None = None
    environment: Annotated[Name | None, Field(description="The environment of the runs, such as bare.")] = None
    os: Short | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces(ClosedRecord):
    """The meaning of the PowerJoular traces in the folders of the runs."""

    energy_of: Annotated[
        Literal["process", "machine"],
        Field(description="Whose energy the table states; a run whose counter wrapped is rebuilt from this trace."),
    ] = "process"
    range_j: Annotated[
        float | None,
        Field(
            gt=1000,
            lt=1e9,
            allow_inf_nan=False,
            description="Range of the machine's energy counter, joules. Default: 262143.328850 or 65532.610987, "
            "whichever explains a negative power.",
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonMapping(ClosedRecord):
    """The keys that all mappings have."""

    name: Annotated[Name | None, Field(description="Name of the study; --study takes precedence.")] = None
    description: str = ""
    model: NameSource | None = None
    task: NameSource | None = None
    machine: Annotated[NameSource | None, Field(description="One of `machines`; not needed if there is only one.")] = (
        None
    )
    folders: tuple[FolderRule, ...] = ()
    factors: FactorSources = field(default_factory=FactorSources)
    labels: Annotated[dict[Short, ColumnName], Field(description="Column of each label, by the label's name.")] = field(
        default_factory=dict
    )
    items: Annotated[Count | None, Field(description="Number of items of each run, if it is no column.")] = None
    pairs: dict[Name, Pair] = field(default_factory=dict)
    time_zone: Annotated[
        str, Field(max_length=100, description="Time zone of dates that name none, such as Europe/Amsterdam.")
    ] = "UTC"
    machines: dict[Name, MachineRecord] = field(default_factory=dict)
    metrics: CommonMetrics = field(default_factory=CommonMetrics)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentRunnerMapping(CommonMapping):
    """The mapping of the folders and columns of Experiment Runner."""

    machines: Annotated[dict[Name, MachineRecord], Field(min_length=1)]
    metrics: Metrics
    reported_by: Annotated[Short | None, Field(description="Who reported which energy, in your own words.")] = None
    traces: Traces = field(default_factory=Traces)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecarbonMapping(CommonMapping):
    """The mapping of the rows of CodeCarbon, which has its own columns of energy, duration, start and machine."""

    machines: Annotated[
        dict[Name, MachineRecord],
        Field(description="Machines by name; a row belongs to the one with its cpu_model, and logical_cpus if given."),
    ] = field(default_factory=dict)
