"""The records of a comparison: the results of `compare` as data, apart from how they are shown."""

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
    """The levels that both arms share; None for the factor that is compared. Trials of two settings are never pooled.

    The fields but `study` are fields of `TrialValues`.
    """

    study: str
    machine_id: str | None = None
    """Id of the machine; None where machines are compared or pooled."""
    model: str | None = None
    task: str | None = None
    batch_size: int | None = None
    threads_requested: int | None = None
    """0: one for every CPU."""
    dtype: str | None = None
    environment: str | None = None
    regime: str | None = None
    weights_source: str | None = None
    imported_levels: str | None = None
    """Levels of the factors that are labels; None unless the trials are imported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSummary:
    """One arm of a comparison on a single machine."""

    level: str
    """Name of the model, or of the level of another factor; a machine's own name."""
    protocol: str | None
    """Digest; None where the arm has no trial."""
    ok: int
    """Number of trials that succeeded."""
    failed: int
    flags: Mapping[str, int]
    """Each flag, and how many ok trials carry it."""
    median: float | None
    """Median of the ok trials, in the unit of the metric."""
    mean: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """Further analyses of the same trials. They are reported, and never replace the estimate."""

    sign_flip_p: float | None = None
    """P-value of the exact sign-flip test; None without blocks, or with more of them than it can handle."""
    hedges_g: float | None = None
    """The effect in standard deviations of a block's log ratio."""
    cliffs_delta: Effect | None = None
    """Cliff's delta: how much more often a value of the other arm is above one of the reference than below it."""
    outliers: tuple[int, ...] = ()
    """Blocks whose log ratio is more than 3.5 robust standard deviations from the median. They count."""
    without_outliers: Estimate | None = None
    """The estimate without them; None where there are none."""
    with_excluded: Estimate | None = None
    """The estimate with the blocks that the study leaves out for their flags; None where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricComparison:
    """One level against another in one setting on one machine, by one metric."""

    by: By
    pair: str
    """Name of the pair; of another factor than the model, both levels."""
    kind: str
    """distillation, a_a or twice of models; level of other factors; interaction of a pair's ratios at two levels."""
    setting: Setting
    machine: str | None
    """Name of the machine."""
    metric: ComparedMetric
    title: str
    unit: str
    """Unit of the medians; empty of an interaction, whose values are ratios."""
    basis: Basis | None
    """None unless the metric is energy."""
    expected_ratio: float | None
    """The true ratio; None but for the proofs."""
    reference: ArmSummary
    """The teacher, where models are compared."""
    other: ArmSummary
    ratio: Estimate
    """other / reference over all blocks that have both."""
    without_flagged: Estimate
    """Ratio over the blocks in which neither trial has a flag."""
    flagged_blocks: int
    checks: Checks

    @property
    def proof_holds(self) -> bool | None:
        """Whether the interval holds the expected ratio; None where either is missing."""
        return None if self.expected_ratio is None else self.ratio.holds(self.expected_ratio)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchFacts:
    """The circumstances of the trials of one match, whatever the metric; caveats are drawn from them."""

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
    """Each flag, and how many ok trials carry it, by arm."""
    ok: Mapping[str, int]
    """Number of ok trials, by arm."""
    paired: bool
    """Whether the arms are paired within blocks; False for imported trials and between machines."""
    interleaved: bool
    """Whether the two arms took turns in time; False also where times are unknown."""
    unpaired_blocks: int
    """Blocks with an ok trial of one arm alone."""
    unequal_blocks: int
    """Blocks whose two trials did different work: other items, or other threads."""
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
    """One machine's own ratio in a finding."""

    machine_id: str
    machine: str | None
    cpu_model: str | None
    ratio: Estimate
    p_adjusted: float | None = None
    """Its p-value corrected for its family; None where machines are pooled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """Whether the ratio lies within a margin that the study stated."""

    kind: Literal["non-inferior", "equivalent"]
    test: WithinMargin
    """The test of this finding by itself."""
    p_adjusted: float
    """Its p-value, corrected by Holm for all tests of its kind in the primary family."""
    holds: bool
    """Whether p_adjusted is below alpha."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledFinding:
    """One level against another by one metric over all machines, and the sentence that states it."""

    by: By
    pair: str
    kind: str
    """One of the kinds of a `MetricComparison`."""
    setting: Setting
    """The setting without its machine."""
    metric: ComparedMetric
    title: str
    basis: Basis | None
    """The basis that the machines have in common; None unless the metric is energy."""
    reference: str
    other: str
    paired: bool
    machines: tuple[MachineResult, ...]
    """The machines that have an interval on this basis."""
    left_out: Mapping[str, str]
    """The other machines' names, each with the reason."""
    pooled: Pooled | None
    """Mean over the machines; None with one machine, whose own result is the finding."""
    on_every_machine: bool | None
    """Whether each machine's own interval is below 1, or each above; None where one has no interval."""
    components: Components | None
    """Variances of the blocks' log ratios; None for one machine."""
    mixed: MixedModel | None
    """A mixed model of all blocks as a further check; None unless it was requested."""
    role: Literal["primary", "secondary", "exploratory"]
    p_value: float | None
    """P-value of the mean over machines, or of the one machine."""
    p_adjusted: float | None
    """P-value corrected by Holm for all tests of its family; None where it is exploratory."""
    family_size: int
    """Tests in the family, this one included; 0 where it is exploratory."""
    within: tuple[Within, ...]
    """Tests of the primary metric against the margins that the study states."""
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """The statement of a study before its data, and whether the study kept to it."""

    study: str
    stated: Primary
    digest: str
    changed_after: int = 0
    """Trials that had begun before the statement became what it is; 0 where it was always so."""
    extended_after: int | None = None
    """Blocks that were finished when more were requested; None where none were."""
    alpha: float
    """The level in force: the one that was requested, else the stated one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caveat:
    """A sentence that has to be read with the numbers."""

    level: Literal["alarm", "warning", "note"]
    """alarm: do not trust the numbers before this is settled."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All that `compare` returns, and `compare --json` prints. It holds no reference to the store."""

    proofs: tuple[MetricComparison, ...]
    """Comparisons whose true ratio is known."""
    per_machine: tuple[MetricComparison, ...]
    """All others on single machines; empty where there are many machines and these were not requested."""
    machines_hidden: int
    """Number of machines that were left out of `per_machine` for that."""
    interactions: tuple[MetricComparison, ...]
    """Comparisons of each pair's ratio at two levels of the factor."""
    findings: tuple[PooledFinding, ...]
    """Each pair by each metric over all machines."""
    facts: tuple[MatchFacts, ...]
    families: tuple[Family, ...]
    """The statement of each study."""
    caveats: tuple[Caveat, ...]
    """Alarms first, then warnings, then notes."""
    progress: tuple[StudyProgress, ...]
