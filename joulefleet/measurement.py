"""The outcome of an attempt, a `Measurement` or a `Failure`, and the records that a measurement consists of.

A field that is also a column of an attempt's row has the column's name (`joulefleet.schema`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Reason = Literal[
    "exception",
    "out_of_memory",
    "killed",
    "timeout",
    "runner_lost",
    "weights_mismatch",
    "agent_lost",
]
"""Why an attempt failed.

exception: the work raised an exception; out_of_memory: an allocation failed, or the kernel's out-of-memory
killer ended the work; killed: a signal that the agent did not send ended the work; timeout: the agent ended
the work; runner_lost: the process that starts the work ended or cannot be reached; weights_mismatch: the
weights on this machine are not those of the trial; agent_lost: the agent was lost in every attempt, and the
coordinator wrote the row.
"""

EnergyProvenance = Literal["measured", "simulated", "modelled"]
"""measured: read from a counter of the kernel on which the trial ran; simulated: read from a counter in other
files (a simulated or recorded machine); modelled: computed from a formula, without any counter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A series of readings: its name, its unit (SI, or the counter's own), its kind and its source."""

    name: str
    unit: str
    kind: Literal["counter", "gauge"]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """The readings of one channel: times in ns of CLOCK_MONOTONIC, and values, NaN where a read failed."""

    channel: Channel
    t_ns: Sequence[int]
    value: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """Joules of one domain in one phase; None with the reason where they are unknown."""

    phase: str
    domain: str
    source: str
    provenance: EnergyProvenance
    joules: float | None
    reason: str | None = None

    def __post_init__(self) -> None:
        if (self.joules is None) == (self.reason is None):
            raise ValueError("an energy has either joules or the reason why they are unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryEnergy:
    """The energy by which trials are compared: joules of `scope` by `source`, or None with the reason."""

    scope: str | None
    source: str | None
    provenance: EnergyProvenance | None
    joules: float | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A part of a trial between two marks, in ns of CLOCK_MONOTONIC."""

    name: Literal["baseline", "startup", "items", "load", "warm_up", "window", "teardown", "cool_down"]
    start_ns: int
    end_ns: int
    cpu_s: float | None = None
    """CPU seconds of the work's processes."""
    machine_cpu_s: float | None = None
    """CPU seconds of the whole machine, without idle time and I/O wait."""

    @property
    def seconds(self) -> float:
        """Duration, seconds."""
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Resident memory of the work, bytes; None where it could not be read.

    `base` is read just after the process started, `pss` and `uss` just after the window.
    """

    base_rss_bytes: int | None
    base_anon_bytes: int | None
    base_file_bytes: int | None
    peak_rss_bytes: int | None
    peak_anon_bytes: int | None
    peak_file_bytes: int | None
    mean_rss_bytes: int | None
    pss_bytes: int | None
    uss_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """The state of the machine during the window; None where it cannot be read."""

    temperature_baseline_c: float | None
    """Temperature of the hottest package at the end of the idle baseline, °C."""
    temperature_max_c: float | None
    frequency_mean_mhz: float | None
    """Mean over the window of the mean over the observed CPUs."""
    frequency_min_mhz_seen: float | None
    """Lowest frequency read, in contrast to the lowest frequency allowed."""
    throttle_events: int | None
    """Number of times that cores and packages were slowed because of heat."""
    pressure_cpu_s: float | None
    """Seconds in which some task of the machine waited for a CPU (pressure stall information)."""
    pressure_memory_s: float | None
    pressure_io_s: float | None
    cgroup_cpu_s: float | None
    """CPU time of the work's control group, which other processes may share."""
    cgroup_throttled_s: float | None
    """Time for which the CPU quota stopped the group."""
    cgroup_peak_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLimit:
    """A limit on the average power of one domain."""

    domain: str
    name: str
    """Name of the constraint, such as long_term."""
    watts: float
    window_s: float | None
    """Time over which the power is averaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkDone:
    """What the work reported with its marks: counts of the window, and the settings in force."""

    items: int
    """Items of the list × passes; in the 2x arm each still counts once."""
    tokens: int
    """Real tokens given to the model, with special tokens, without padding."""
    padded_tokens: int
    """Tokens that the model computed, with padding."""
    work_ns: int
    """Duration of the passes by the work's own clock; the window's marks lie just outside it."""
    threads: int
    nice: int
    cpus: tuple[int, ...]
    """Logical CPUs on which the work was allowed."""
    oom_score_adj: int
    omp_num_threads: str | None
    privileges: str
    """`none`, or the mask of the capabilities that the work kept."""
    parameters: int
    model_class: str
    attention: str
    blas: str
    """Linear algebra library of the engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A trial that was measured.

    `agent.trial.summary` makes it once the work has ended; `agent.results.row` writes it into the columns of
    a row. All numbers are final; only `latencies_ns` and `readings` are thinned, after everything else was
    computed from the full series.
    """

    started_at_ns: int
    """Wall-clock time of the start of the attempt, ns since 1970."""
    phases: tuple[Phase, ...]
    energies: tuple[Energy, ...]
    primary: PrimaryEnergy
    """Energy of the window in the fullest scope of the machine."""
    work: WorkDone
    memory: Memory
    conditions: Conditions
    power_limits: tuple[PowerLimit, ...]
    observer_cpu_s: float | None
    foreign_cpu_s: float | None
    steal_s: float | None
    log_bytes: int
    """Bytes that the work wrote to its output in the window."""
    weights_digest: str
    """SHA-256 of the weight files that were loaded."""
    flags: tuple[str, ...]
    quality: float | None
    quality_metric: str | None
    quality_reason: str | None
    modelled_formula: str | None
    modelled_parameters: dict[str, float] = field(default_factory=dict)
    latency_p50_s: float | None
    latency_p90_s: float | None
    latency_p99_s: float | None
    latencies_ns: Sequence[int]
    """Latency of each batch, in order."""
    readings: tuple[Readings, ...] = ()
    wall_s: float
    """Duration of the attempt from the request to its outcome, on the agent."""

    def phase(self, name: str) -> Phase:
        """Return the phase called `name`. Raises KeyError."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise KeyError(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A trial that failed: the reason, the message of the error, and the end of the work's output.

    A trial that fails is always a `Failure`, never an exception: exceptions mean that no attempt was made.
    """

    reason: Reason
    message: str
    stderr_tail: str
    started_at_ns: int
    wall_s: float


Outcome = Measurement | Failure
