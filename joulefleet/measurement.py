"""The Outcome of an attempt: a `Measurement` or a `Failure`, and the records both are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Reason = Literal[
    "exception",
    "out_of_memory",
    "killed",
    "timeout",
    "sensor_error",
    "runner_lost",
    "weights_mismatch",
    "agent_lost",
]
"""Why an attempt failed.

exception: the work raised; out_of_memory: it raised for want of memory, or the kernel's
out-of-memory killer ended it; killed: it was ended by a signal that was not ours; timeout: ended
by the agent; sensor_error: a sensor that had worked stopped working; runner_lost: the process that
starts the work went away; weights_mismatch: the weights on this machine are not those asked for;
agent_lost: the agent itself was lost again and again, and the coordinator wrote the row.
"""

EnergyProvenance = Literal["measured", "simulated", "modelled"]
"""measured: by a counter of the kernel on which the trial ran; simulated: by a counter in other
files (a simulated or captured machine); modelled: computed from a formula, without any counter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """What one series of readings is: its name, its unit (SI, or the counter's own) and where it comes from."""

    name: str
    unit: str
    kind: Literal["counter", "gauge"]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """The readings of one channel: times in ns of CLOCK_MONOTONIC, and values, NaN where unreadable."""

    channel: Channel
    t_ns: Sequence[int]
    value: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """Joules of one domain in one phase; None with the reason where they cannot be known."""

    phase: str
    domain: str
    source: str
    provenance: EnergyProvenance
    joules: float | None
    reason: str | None = None

    def __post_init__(self) -> None:
        if (self.joules is None) == (self.reason is None):
            raise ValueError("an energy has either joules or the reason why not")


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One stretch of a trial between two marks, in ns of CLOCK_MONOTONIC."""

    name: Literal["baseline", "startup", "items", "load", "warm_up", "window", "teardown", "cool_down"]
    start_ns: int
    end_ns: int
    cpu_s: float | None = None
    """CPU seconds of the work's processes."""
    machine_cpu_s: float | None = None
    """CPU seconds of the whole machine, idle and I/O wait left out."""

    @property
    def seconds(self) -> float:
        """Its duration."""
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Resident memory of the work, bytes. `base` is the process just after its start, before it did anything."""

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
class Surroundings:
    """How the machine was in the window; None where it cannot be read."""

    temperature_baseline_c: float | None
    """Of the hottest package at the end of the idle baseline."""
    temperature_max_c: float | None
    frequency_mean_mhz: float | None
    """Mean over the window of the mean over the CPUs that are watched."""
    frequency_min_mhz: float | None
    throttle_events: int | None
    """How often cores and packages were slowed for their heat."""
    pressure_cpu_s: float | None
    """Seconds in which some task of the machine waited for a CPU (pressure stall information)."""
    pressure_memory_s: float | None
    pressure_io_s: float | None
    cgroup_cpu_s: float | None
    """CPU time of the work's control group, which others may share."""
    cgroup_throttled_s: float | None
    """How long the group was stopped by its CPU quota."""
    cgroup_peak_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLimit:
    """A limit on the average power of one domain."""

    domain: str
    name: str
    """Such as long_term."""
    watts: float
    window_s: float | None
    """The time over which the power is averaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkDone:
    """What the work says it did in the window: counts, and how it took effect."""

    items: int
    """Items of the list × passes; in the 2x arm each still counts once."""
    tokens: int
    """Real tokens given to the model, special tokens included, padding not."""
    padded_tokens: int
    """Tokens the model computed, padding included."""
    work_ns: int
    """The work's own stopwatch around its passes; the window's marks lie just outside it."""
    latencies_ns: Sequence[int]
    """One a batch, in order."""
    log_bytes: int
    threads: int
    nice: int
    cpus: tuple[int, ...]
    """Logical CPUs the work was allowed on."""
    oom_score_adj: int
    omp_num_threads: str | None
    privileges: str
    """`none`, or what the work kept."""
    weights_digest: str
    """SHA-256 over the weight files that were loaded."""
    parameters: int
    model_class: str
    attention: str
    blas: str
    """The linear algebra library of the engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A trial that was measured."""

    started_at_ns: int
    """Wall clock, ns since 1970, of the start of the baseline."""
    passes: int
    phases: tuple[Phase, ...]
    energies: tuple[Energy, ...]
    energy_reason: str | None
    """Why there is no measured energy, where there is none."""
    work: WorkDone
    memory: Memory
    surroundings: Surroundings
    power_limits: tuple[PowerLimit, ...]
    cpu_s: float | None
    observer_cpu_s: float | None
    foreign_cpu_s: float | None
    steal_s: float | None
    flags: tuple[str, ...]
    quality: float | None
    quality_metric: str | None
    quality_reason: str | None
    modelled_formula: str | None
    modelled_parameters: dict[str, float] = field(default_factory=dict)
    readings: tuple[Readings, ...] = ()
    """Thinned: every number above is made of all of them."""
    wall_s: float
    """The attempt from the request to its outcome, on the agent."""

    def phase(self, name: str) -> Phase:
        """The phase called `name`. Raises KeyError."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise KeyError(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A trial that failed, with the reason, what was said, and the end of what the work wrote."""

    reason: Reason
    message: str
    stderr_tail: str
    started_at_ns: int
    wall_s: float


Outcome = Measurement | Failure
