"""The records of a comparison: what `compare` finds, as data without any words about how to show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from joulefleet.analysis.metrics import Basis, MetricName
from joulefleet.analysis.progress import StudyProgress
from joulefleet.analysis.statistics import Estimate, Pooled


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What both arms of a line share. Lines of two settings are never pooled."""

    study: str
    machine_id: str | None
    """None: over all machines."""
    task: str
    batch_size: int | None
    threads_asked: int | None
    """0: one for every CPU."""
    dtype: str | None
    environment: str | None
    regime: str | None
    weights_source: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One model's side of a line."""

    model: str
    protocol: str | None
    """None where the arm has no trial."""
    ok: int
    failed: int
    marks: Mapping[str, int]
    """Each mark, and how many ok trials carry it."""
    median: float | None
    """Over the ok trials, in the line's unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Teacher against student in one setting, by one metric."""

    pair: str
    kind: str
    """distillation, a_a or twice."""
    setting: Setting
    machine: str | None
    """Name of the machine, for people."""
    metric: MetricName
    title: str
    unit: str
    basis: Basis | None
    """Of energy alone: measured or modelled, and by what."""
    expected_ratio: float | None
    """The true ratio, where it is known: in the proofs."""
    teacher: Arm
    student: Arm
    ratio: Estimate
    """student / teacher over all blocks that have both."""
    without_marked: Estimate
    """The same over the blocks in which neither trial carries a mark."""
    marked_blocks: int
    unpaired_blocks: int
    """Blocks with an ok trial of one arm alone."""
    unequal_blocks: int
    """Blocks whose two trials did different work: other items, or other threads than asked."""
    boots_differ: int
    """Blocks whose two trials ran in different boots of the machine."""

    @property
    def proof_holds(self) -> bool | None:
        """Whether the interval holds the expected ratio; None where there is none to hold, or no interval."""
        return None if self.expected_ratio is None else self.ratio.holds(self.expected_ratio)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineResult:
    """What one machine says of a finding."""

    machine_id: str
    machine: str | None
    cpu_model: str | None
    ratio: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Teacher against student by one metric over all machines, and the sentence that says so."""

    pair: str
    kind: str
    """distillation, a_a or twice."""
    setting: Setting
    """Without a machine."""
    metric: MetricName
    title: str
    basis: Basis | None
    """Of energy alone: the one that the machines have in common."""
    teacher: str
    student: str
    machines: tuple[MachineResult, ...]
    """Those with an interval of their own, by this basis; the others are in `left_out`."""
    left_out: Mapping[str, str]
    """Machine, and why it does not count."""
    pooled: Pooled | None
    """None for one machine, which speaks for itself alone."""
    on_every_machine: bool | None
    """Whether each machine's own interval is below 1, or each above; None where one has no interval."""
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """A sentence that belongs to the numbers. alarm: do not trust them before this is settled."""

    level: Literal["alarm", "warning", "note"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything that `compare` says."""

    proofs: tuple[Line, ...]
    """Comparisons whose true ratio is known; they come first."""
    lines: tuple[Line, ...]
    findings: tuple[Finding, ...]
    """Each pair's lines of one metric over all machines."""
    remarks: tuple[Remark, ...]
    progress: tuple[StudyProgress, ...]
