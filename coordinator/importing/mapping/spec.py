"""The mapping: what the columns and folders of another tool's output mean, as frozen records.

The same definitions serve the YAML file (read by `coordinator.importing.mapping.load`), the JSON
schema for editors (`joulefleet import experiment-runner --schema`) and docs/how-to-import.md. What
types alone cannot say (a unit that needs the machine's memory, ...) is in
`coordinator.importing.mapping.validate`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from joulefleet.study.spec import Name, Pair

_CLOSED = ConfigDict(extra="forbid")

ColumnName = Annotated[str, Field(min_length=1, max_length=1000, description="The column's name in the table.")]
Scale = Annotated[
    float, Field(gt=0, allow_inf_nan=False, description="The column's numbers are multiplied by it, beside the unit.")
]
Short = Annotated[str, Field(min_length=1, max_length=200)]
Count = Annotated[int, Field(ge=1, lt=2**53)]

EnergyUnit = Literal["J", "mJ", "kJ", "Wh", "kWh"]
TimeUnit = Literal["s", "ms", "us", "min", "h"]
CpuUnit = Literal["percent of one core", "fraction of one core", "percent of all cores", "fraction of all cores"]
MemoryUnit = Literal["B", "kB", "MB", "GB", "KiB", "MiB", "GiB", "percent of memory", "fraction of memory"]
MomentUnit = Literal["ISO 8601", "unix seconds", "unix milliseconds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyColumn:
    """A column of energies."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    column: ColumnName
    unit: EnergyUnit = "J"
    scale: Scale = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeColumn:
    """A column of durations."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    column: ColumnName
    unit: TimeUnit = "s"
    scale: Scale = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuColumn:
    """A column of CPU use. `... of all cores` needs `logical_cpus` of the machine."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    column: ColumnName
    unit: CpuUnit = "percent of one core"
    scale: Scale = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryColumn:
    """A column of memory. `... of memory` needs `memory_bytes` of the machine."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    column: ColumnName
    unit: MemoryUnit = "B"
    scale: Scale = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CountColumn:
    """A column of whole numbers."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    column: ColumnName
    scale: Scale = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityColumn:
    """A column of scores."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    column: ColumnName
    metric: Annotated[Short, Field(description="What is scored, such as accuracy.")]
    scale: Scale = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentColumn:
    """A column of moments."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    column: ColumnName
    unit: MomentUnit = "ISO 8601"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonMetrics:
    """What a column of any tool may be."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    cpu_percent: Annotated[CpuColumn | None, Field(description="CPU use of the work.")] = None
    cpu_seconds: Annotated[TimeColumn | None, Field(description="CPU time of the work.")] = None
    mean_rss_bytes: Annotated[MemoryColumn | None, Field(description="Mean memory of the work.")] = None
    peak_rss_bytes: Annotated[MemoryColumn | None, Field(description="Highest memory of the work.")] = None
    items: Annotated[CountColumn | None, Field(description="Items of the run.")] = None
    tokens: Annotated[CountColumn | None, Field(description="Tokens of the run.")] = None
    quality: Annotated[QualityColumn | None, Field(description="How good the answers were.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics(CommonMetrics):
    """Which column is which metric."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    energy_reported_j: Annotated[EnergyColumn | None, Field(description="The run's energy; needs `reported_by`.")] = (
        None
    )
    window_s: Annotated[TimeColumn | None, Field(description="Duration of what was measured.")] = None
    started_at: Annotated[
        MomentColumn | None, Field(description="When the run began; else the first Date of PowerJoular, where it ran.")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Where a name comes from: exactly one of a fixed value and a column."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    value: Annotated[Name | None, Field(description="The same for every run.")] = None
    column: ColumnName | None = None
    values: Annotated[dict[str, Name], Field(description="What stands in the column, to the name meant.")] = field(
        default_factory=dict
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberFactor:
    """A factor of whole numbers: exactly one of a fixed value and a column."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    value: Count | None = None
    column: ColumnName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFactor:
    """A factor of words: exactly one of a fixed value and a column."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    value: Short | None = None
    column: ColumnName | None = None
    values: Annotated[dict[str, Short], Field(description="What stands in the column, to the word meant.")] = field(
        default_factory=dict
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorSources:
    """The factors that Joulefleet has columns for. All others are labels."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    batch_size: NumberFactor | None = None
    threads: NumberFactor | None = None
    dtype: Annotated[TextFactor | None, Field(description="Number format, such as float32.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRule:
    """What is true of the runs in the folders that match a pattern. Several rules may match a folder, and add up."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    match: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1000,
            description="The path of the table's folder, relative to the folder imported (`.` is itself). "
            "* ? [] match within one name, ** any number of folders.",
        ),
    ]
    model: Name | None = None
    task: Name | None = None
    machine: Name | None = None
    batch_size: Count | None = None
    threads: Count | None = None
    dtype: Short | None = None
    items: Annotated[Count | None, Field(description="Items of each run.")] = None
    labels: dict[Short, Short] = field(default_factory=dict)
    leave_out: Annotated[bool, Field(description="Do not import these folders.")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRecord:
    """What is known of the machine that was measured on."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    machine_id: Annotated[Name | None, Field(description="Its id, where it is a machine of other studies too.")] = None
    cpu_model: Annotated[Short | None, Field(description="As /proc/cpuinfo says.")] = None
    sockets: Count | None = None
    physical_cores: Count | None = None
    logical_cpus: Annotated[Count | None, Field(description="Hardware threads.")] = None
    memory_bytes: Count | None = None
    virtualised: bool | None = None
    environment: Annotated[Name | None, Field(description="Where the work ran, such as bare.")] = None
    os: Short | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """How the traces of PowerJoular in the runs' folders are taken."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    energy_of: Annotated[
        Literal["process", "machine"],
        Field(description="Whose power the table's energy is the sum of; decides how a wrapped run is rebuilt."),
    ] = "process"
    range_j: Annotated[
        float | None,
        Field(
            gt=1000,
            lt=1e9,
            allow_inf_nan=False,
            description="Range of the machine's energy counter, joules. Absent: 262143.328850 or 65532.610987, "
            "whichever explains a negative power.",
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonMapping:
    """What every mapping says."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    name: Annotated[Name | None, Field(description="Name of the study; --study goes before it.")] = None
    description: str = ""
    model: Named | None = None
    task: Named | None = None
    machine: Annotated[Named | None, Field(description="One of `machines`; need not be said of a single one.")] = None
    folders: tuple[FolderRule, ...] = ()
    factors: FactorSources = field(default_factory=FactorSources)
    labels: Annotated[dict[Short, ColumnName], Field(description="Name of the label, to its column.")] = field(
        default_factory=dict
    )
    items: Annotated[Count | None, Field(description="Items of each run, where it is no column.")] = None
    pairs: dict[Name, Pair] = field(default_factory=dict)
    time_zone: Annotated[
        str, Field(max_length=100, description="Of dates and times that name none, such as Europe/Amsterdam.")
    ] = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentRunnerMapping(CommonMapping):
    """What the folders and columns of Experiment Runner mean."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    machines: Annotated[dict[Name, MachineRecord], Field(min_length=1)]
    metrics: Metrics
    reported_by: Annotated[
        Short | None, Field(description="Who reported the energy, and of what, in your own words.")
    ] = None
    traces: Traces = field(default_factory=Traces)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecarbonMapping(CommonMapping):
    """What the rows of CodeCarbon mean; energy, duration, start and machine are in columns of its own."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    machines: Annotated[
        dict[Name, MachineRecord],
        Field(description="Names of machines, each told by its cpu_model, and logical_cpus where given."),
    ] = field(default_factory=dict)
    metrics: CommonMetrics = field(default_factory=CommonMetrics)
