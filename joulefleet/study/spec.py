"""The study, the description of what is to be measured, as frozen records.

The same definitions serve the YAML file (`joulefleet.study.load` reads it), the JSON schema for editors
(`joulefleet plan --schema`) and the copy in the store. Rules that types cannot express, such as that a pair
names two models that exist, are in `joulefleet.study.validate`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from joulefleet.study.primary import Primary
from joulefleet.yamlfile.closed_record import ClosedRecord

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,62}$"

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**53)]
Regime = Literal["sustained", "burst"]
Isolation = Literal["warm", "cold"]
EnergySource = Literal["powercap", "pyrapl"]
HeadOrigin = Literal["own", "seeded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture(ClosedRecord):
    """A model built from a configuration, with weights drawn from a seed."""

    model_type: Annotated[
        str, Field(pattern=r"^[a-z0-9_-]+$", description="transformers' model_type, such as bert or gpt2.")
    ]
    config: Annotated[
        dict[str, Any],
        Field(description="The published configuration, as far as it differs from transformers' default."),
    ] = field(default_factory=dict)
    published_as: Annotated[str, Field(description="Where the configuration was published, for people.")] = ""
    seed: Annotated[Seed, Field(description="Seed of the weights.")] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub(ClosedRecord):
    """A model of the Hugging Face hub, pinned to a commit."""

    id: Annotated[str, Field(pattern=r"^[\w.-]+(/[\w.-]+)?$", description="Such as google-bert/bert-base-uncased.")]
    revision: Annotated[
        str,
        Field(
            pattern=r"^[0-9a-f]{40}$",
            description="The commit, 40 hexadecimal digits: a branch name would not pin what is measured.",
        ),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(ClosedRecord):
    """One model, of exactly one source: architecture, hub or path."""

    architecture: Architecture | None = None
    hub: Hub | None = None
    path: Annotated[
        str | None, Field(description="A folder with config.json and safetensors; relative to the study's file.")
    ] = None
    tokenizer: Annotated[
        str | None,
        Field(
            description="A folder with the tokenizer, for an architecture whose task has texts; else the model's own."
        ),
    ] = None
    head: Annotated[
        HeadOrigin,
        Field(description="own: the classification head in the weights; seeded: a new one drawn from the seed."),
    ] = "own"
    tasks: Annotated[
        tuple[Name, ...] | None,
        Field(min_length=1, description="The tasks that this model does; default: all of the study."),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair(ClosedRecord):
    """A teacher and the student distilled from it."""

    teacher: Name
    student: Name


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths(ClosedRecord):
    """A distribution of lengths in tokens without special tokens, as quantiles: percent (as text) to tokens."""

    first: dict[str, Annotated[float, Field(ge=1)]]
    second: dict[str, Annotated[float, Field(ge=1)]] | None = None
    rank_correlation: Annotated[float, Field(ge=-1, le=1, description="Correlation of the two lengths of a pair.")] = (
        0.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticItems(ClosedRecord):
    """Seeded token sequences whose lengths follow a published distribution. They have no labels."""

    count: Annotated[int, Field(ge=1, le=100_000, description="Items in one pass.")] = 64
    seed: Seed = 0
    lengths: Annotated[
        Lengths | None, Field(description="The quantiles of the lengths; default: those of the preset.")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileItems(ClosedRecord):
    """Texts and labels from a file: JSON lines, CSV or Parquet, by the ending of its name."""

    path: Annotated[str, Field(description="Relative to the study's file.")]
    text: Annotated[str, Field(description="The column of the (first) text.")] = "text"
    text_pair: Annotated[str | None, Field(description="The column of the second text of a pair.")] = None
    label: Annotated[str | None, Field(description="The column of the label; without it items have no labels.")] = None
    count: Annotated[
        int | None, Field(ge=1, le=100_000, description="Number of rows, from the first; default: all.")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HubItems(ClosedRecord):
    """Texts and labels from a data set of the Hugging Face hub, pinned to a commit."""

    id: Annotated[str, Field(pattern=r"^[\w.-]+(/[\w.-]+)?$")]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    config: str | None = None
    split: str = "validation"
    text: str = "text"
    text_pair: str | None = None
    label: str | None = None
    count: Annotated[int | None, Field(ge=1, le=100_000)] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Items(ClosedRecord):
    """The source of a task's items: exactly one of the three."""

    synthetic: SyntheticItems | None = None
    file: FileItems | None = None
    hub: HubItems | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(ClosedRecord):
    """The work of the models. A preset fills in inputs, labels, metric and lengths."""

    preset: Annotated[str | None, Field(description="A shipped task: sst2, stsb or mnli.")] = None
    inputs: Annotated[Literal["single", "pair"] | None, Field(description="Whether an item is one text or two.")] = None
    labels: Annotated[int | None, Field(ge=1, le=10_000, description="Number of classes; 1 is regression.")] = None
    metric: Annotated[Literal["accuracy", "pearson"] | None, Field(description="How labelled items are scored.")] = None
    max_length: Annotated[int, Field(ge=4, le=100_000, description="Longest item, tokens; longer ones are cut.")] = 128
    items: Items = field(default_factory=lambda: Items(synthetic=SyntheticItems()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors(ClosedRecord):
    """The factors other than model and task, each with its levels. Every combination of levels is a cell."""

    batch_size: Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(min_length=1)] = (1,)
    threads: Annotated[
        tuple[Annotated[int, Field(ge=0, le=4096)], ...],
        Field(min_length=1, description="Threads of the work; 0: one for every CPU it may use."),
    ] = (0,)
    dtype: Annotated[tuple[Literal["float32", "bfloat16"], ...], Field(min_length=1)] = ("float32",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(ClosedRecord):
    """The length of the measured window: a number of whole passes, given here or found by a pilot."""

    passes: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    at_least_s: Annotated[
        Seconds | None, Field(description="Shortest work of the faster model of a pair, seconds; default by regime.")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp(ClosedRecord):
    """The work before the window. In regime sustained it lasts until throughput and power drift by less than 1 %."""

    at_least_s: Annotated[Seconds | None, Field(description="Default by regime.")] = None
    at_most_s: Annotated[Seconds | None, Field(description="Default by regime.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CoolDown(ClosedRecord):
    """The rest after a trial: until temperature or idle power is back, or a fixed time where neither is readable."""

    fixed_s: Annotated[Seconds | None, Field(description="Rest where neither is readable; default by regime.")] = None
    at_most_s: Annotated[Seconds | None, Field(description="Longest rest where one is; default by regime.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds(ClosedRecord):
    """Limits beyond which a trial is flagged. Flags change no value and drop no trial."""

    foreign_cpu_percent: Annotated[
        float,
        Field(gt=0, description="CPU use of processes that are neither the work nor Joulefleet's; 100 = one core."),
    ] = 5.0
    steal_percent: Annotated[float, Field(gt=0, description="CPU time that the hypervisor took.")] = 1.0
    observer_cpu_percent: Annotated[float, Field(gt=0, description="CPU use of agent, coordinator and Ray.")] = 5.0
    log_bytes: Annotated[int, Field(gt=0, description="Bytes the work wrote to its output in the window.")] = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Modelled(ClosedRecord):
    """Parameters of the modelled energy, which is never called measured.

    The defaults are Cloud Carbon Footprint's averages for a logical CPU of AWS (0.74 W idle, 3.5 W busy).
    """

    idle_w_per_cpu: Annotated[float, Field(ge=0, le=1000)] = 0.74
    busy_w_per_cpu: Annotated[float, Field(gt=0, le=1000)] = 3.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure(ClosedRecord):
    """How every trial is measured."""

    baseline_s: Annotated[
        Seconds | None, Field(description="Idle time before each trial, seconds; default by regime.")
    ] = None
    warm_up: WarmUp = field(default_factory=WarmUp)
    window: Window = field(default_factory=Window)
    cool_down: CoolDown = field(default_factory=CoolDown)
    isolation: Annotated[
        Isolation, Field(description="warm: a fork with torch already imported; cold: a new interpreter.")
    ] = "warm"
    timeout_s: Annotated[float, Field(gt=0, le=604_800, description="A trial is ended after this time, seconds.")] = (
        1800
    )
    energy_source: Annotated[
        EnergySource,
        Field(description="powercap: Joulefleet reads the counters; pyrapl: pyRAPL does, where it can."),
    ] = "powercap"
    sampling_hz: Annotated[float, Field(gt=0, le=20, description="Energy readings a second, 20 at most.")] = 10
    modelled: Annotated[Modelled | None, Field(description="Fill energy_modelled_j too; default: it is null.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofArm(ClosedRecord):
    """A model and a task on which a proof runs."""

    model: Name
    task: Name


@dataclass(frozen=True, slots=True, kw_only=True)
class Proofs(ClosedRecord):
    """Comparisons whose true ratio is known, to check that the study measures right."""

    a_a: Annotated[tuple[ProofArm, ...], Field(description="The model against itself: the ratio is 1.00.")] = ()
    twice: Annotated[
        tuple[ProofArm, ...],
        Field(description="The model that works each item twice, against itself: the ratio is 2.00."),
    ] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Study(ClosedRecord):
    """The study: all that the user decides about an experiment.

    `joulefleet.study.load` makes it from YAML or from the store's copy, and nobody changes it: a command that
    fills something in makes a new one. Types hold by construction; `joulefleet.study.validate.check_study`
    checks the rest, and `load_study` does both and raises StudyError.
    """

    name: Name
    description: str = ""
    seed: Seed = 0
    regime: Regime = "sustained"
    repetitions: Annotated[int, Field(ge=1, le=100_000, description="Blocks on every machine.")]
    models: Annotated[dict[Name, Model], Field(min_length=1)]
    tasks: Annotated[dict[Name, Task], Field(min_length=1)]
    pairs: dict[Name, Pair] = field(default_factory=dict)
    factors: Factors = field(default_factory=Factors)
    environments: Annotated[
        tuple[Name, ...],
        Field(
            description="Where the work runs: bare, container, pod, or the name that a runner was given. "
            "Default: where the coordinator runs."
        ),
    ] = ()
    placement: Annotated[
        Literal["every-machine", "any-machine"],
        Field(
            description="every-machine: each machine runs the whole design; any-machine: the blocks are spread over "
            "the machines of one class (same CPU model, topology and memory)."
        ),
    ] = "every-machine"
    measure: Measure = field(default_factory=Measure)
    thresholds: Thresholds = field(default_factory=Thresholds)
    proofs: Proofs = field(default_factory=Proofs)
    primary: Primary = field(default_factory=Primary)
    labels: Annotated[dict[str, str], Field(description="Your own labels, kept with every row.")] = field(
        default_factory=dict
    )
