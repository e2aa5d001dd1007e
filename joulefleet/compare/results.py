"""The records of a comparison: what `compare` finds, as data without any words about how to show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from joulefleet.compare.contrasts import By
from joulefleet.compare.metrics import Basis, ComparedMetric
from joulefleet.query.progress import StudyProgress
from joulefleet.stats import Estimate, Pooled
from joulefleet.stats.effect_size import Effect
from joulefleet.stats.equivalence import WithinMargin
from joulefleet.stats.mixed_model import MixedModel
from joulefleet.stats.variance_components import Components
from joulefleet.study.primary import Primary


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What both arms of a line share, None where that is what is compared. Lines of two settings are never pooled."""

    study: str
    machine_id: str | None = None
    """None also where it is over all machines."""
    model: str | None = None
    task: str | None = None
    batch_size: int | None = None
    threads_asked: int | None = None
    """0: one for every CPU."""
    dtype: str | None = None
    environment: str | None = None
    regime: str | None = None
    weights_source: str | None = None
    imported_levels: str | None = None
    """Of imported trials: the levels of factors that are labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSummary:
    """One side of a line."""

    level: str
    """The model, or the level of another factor; a machine by its name."""
    protocol: str | None
    """None where the arm has no trial."""
    ok: int
    failed: int
    flags: Mapping[str, int]
    """Each flag, and how many ok trials carry it."""
    median: float | None
    """Over the ok trials, in the line's unit."""
    mean: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """The same trials looked at in other ways. They are reported; they never replace the line's estimate."""

    sign_flip_p: float | None
    """The exact sign-flip test of the blocks; None without blocks and beyond its number of them."""
    hedges_g: float | None
    """The effect in standard deviations of a block's log ratio."""
    cliffs_delta: Effect | None
    """How much more often a value of the other arm is above one of the reference than below it."""
    outliers: tuple[int, ...]
    """Blocks whose log ratio stands more than 3.5 robust standard deviations off. They count."""
    without_outliers: Estimate | None
    """The estimate without them; None where there are none."""
    with_excluded: Estimate | None
    """The estimate with the blocks that the study leaves out for their flags; None where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricComparison:
    """One level against another in one setting on one machine, by one metric."""

    by: By
    pair: str
    """The pair's name, or both levels'."""
    kind: str
    """distillation, a_a or twice; level; interaction, which compares the ratios of a pair at two levels."""
    setting: Setting
    machine: str | None
    """Name of the machine, for people."""
    metric: ComparedMetric
    title: str
    unit: str
    """Empty of a ratio."""
    basis: Basis | None
    """Of energy alone: measured or modelled, and by what."""
    expected_ratio: float | None
    """The true ratio, where it is known: in the proofs."""
    reference: ArmSummary
    """The teacher, where models are compared."""
    other: ArmSummary
    ratio: Estimate
    """other / reference over all blocks that have both."""
    without_flagged: Estimate
    """The same over the blocks in which neither trial carries a flag."""
    flagged_blocks: int
    checks: Checks

    @property
    def proof_holds(self) -> bool | None:
        """Whether the interval holds the expected ratio; None where there is none to hold, or no interval."""
        return None if self.expected_ratio is None else self.ratio.holds(self.expected_ratio)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchFacts:
    """What is to be known of the trials behind the lines of one setting, whatever the metric."""

    by: By
    pair: str
    kind: str
    setting: Setting
    machine: str
    reference: str
    other: str
    reference_protocol: str | None
    other_protocol: str | None
    flags: Mapping[str, Mapping[str, int]]
    """By arm: each flag, and how many ok trials carry it."""
    ok: Mapping[str, int]
    """By arm: how many trials are ok."""
    paired: bool
    """False without blocks: of other tools' trials, and between machines."""
    interleaved: bool
    """Whether the two arms took turns in time; False also where times are unknown."""
    unpaired_blocks: int
    """Blocks with an ok trial of one arm alone."""
    unequal_blocks: int
    """Blocks whose two trials did different work: other items, or other threads than asked."""
    other_libraries: int
    """Blocks whose two environments had different libraries."""
    excluded: int
    """Blocks that the study leaves out for their flags."""
    always_first: str | None
    """The arm that ran first in every block, of eight blocks or more; None where they took turns."""
    boots_differ: int
    """Blocks whose two trials ran in different boots of the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineResult:
    """What one machine says of a finding."""

    machine_id: str
    machine: str | None
    cpu_model: str | None
    ratio: Estimate
    p_adjusted: float | None = None
    """Its p-value corrected for its family, where machines are not pooled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """Whether the other arm's need lies within a margin that the study stated."""

    kind: Literal["non-inferior", "equivalent"]
    test: WithinMargin
    """By itself."""
    p_adjusted: float
    """Corrected by Holm for all tests of its kind in the primary family."""
    holds: bool
    """p_adjusted is below alpha."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledFinding:
    """One level against another by one metric over all machines, and the sentence that says so."""

    by: By
    pair: str
    kind: str
    """As of a line."""
    setting: Setting
    """Without a machine."""
    metric: ComparedMetric
    title: str
    basis: Basis | None
    """Of energy alone: the one that the machines have in common."""
    reference: str
    other: str
    paired: bool
    machines: tuple[MachineResult, ...]
    """Those with an interval of their own, by this basis; the others are in `left_out`."""
    left_out: Mapping[str, str]
    """Machine, and why it does not count."""
    pooled: Pooled | None
    """None for one machine, which speaks for itself alone."""
    on_every_machine: bool | None
    """Whether each machine's own interval is below 1, or each above; None where one has no interval."""
    components: Components | None
    """Variances of the blocks' log ratios; of several machines alone."""
    mixed: MixedModel | None
    """A mixed model of all blocks as a further check; None where it was not asked for."""
    role: Literal["primary", "secondary", "exploratory"]
    p_value: float | None
    """Of the mean over machines, or of the one machine."""
    p_adjusted: float | None
    """Corrected by Holm for all that were tested in its family; None where it is exploratory."""
    family_size: int
    """Tests in the family, itself included; 0 where it is exploratory."""
    within: tuple[Within, ...]
    """Of the primary metric, where the study states margins."""
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What a study stated before its data."""

    study: str
    stated: Primary
    digest: str
    changed_after: int = 0
    """Trials that had begun before it was stated so; 0 unless it was changed meanwhile."""
    extended_after: int | None = None
    """Blocks that were finished when more were asked for; None unless that was so."""
    alpha: float
    """In force: the stated one, or the one asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """A sentence that belongs to the numbers. alarm: do not trust them before this is settled."""

    level: Literal["alarm", "warning", "note"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything that `compare` says."""

    proofs: tuple[MetricComparison, ...]
    """Comparisons whose true ratio is known; they come first."""
    lines: tuple[MetricComparison, ...]
    """One machine each; empty where there are many machines and they were not asked for."""
    machines_hidden: int
    """How many machines have no lines for that."""
    interactions: tuple[MetricComparison, ...]
    """How a pair's ratio depends on the factor that is compared by."""
    findings: tuple[PooledFinding, ...]
    """Each pair's lines of one metric over all machines."""
    facts: tuple[MatchFacts, ...]
    """Of the trials behind lines and findings."""
    families: tuple[Family, ...]
    """What each study stated as primary."""
    remarks: tuple[Remark, ...]
    progress: tuple[StudyProgress, ...]
