"""Sample sizes: the machines and blocks that a ratio of a wanted precision needs, from the trials of a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from joulefleet.compare.contrasts import model_contrasts, require_known
from joulefleet.compare.estimation import log_ratios_by_machine
from joulefleet.compare.matching import Match, by_level, matches, newest_by
from joulefleet.compare.metrics import METRICS, Metric, load_trials
from joulefleet.compare.pooled import common_basis
from joulefleet.compare.results import Setting
from joulefleet.query.progress import select_records
from joulefleet.query.store import Store
from joulefleet.stats.sample_size import Size, size
from joulefleet.stats.variance_components import Components, components
from joulefleet.store.records import newest

MACHINES = (1, 3, 5, 10, 30)
"""The numbers of machines that are tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """Machines and blocks that the ratio of one pair in one setting needs. Variances are of its logarithm."""

    pair: str
    setting: Setting
    """The setting without its machine."""
    metric: str
    machines: int
    """Number of machines from which the variances were estimated."""
    blocks: int
    """Number of blocks of all these machines."""
    spread: Components
    sizes: tuple[Size, ...]
    """One for each number of machines for which the variances are known."""
    reason: str | None
    """Reason why a variance is not known; None where all are."""


def sizing(
    store: Store, *, factor: float, study: str | None = None, pair: str | None = None, metric: str = "energy"
) -> list[Sizing]:
    """Return what each pair and setting needs for an interval of a half-width of `factor` (1.05 for 5 %).

    Of several protocols the newest counts. Raises QueryError where the store has no such study, pair or
    metric; ValueError for a factor that is not above 1.
    """
    records = select_records(newest(store.studies), study)
    pairs = [
        (record, contrast)
        for record in records
        if record.imported_from is None
        for contrast in model_contrasts(record)
        if contrast.kind == "distillation"
    ]
    require_known("pair in these studies", [pair] if pair else None, [contrast.name for _, contrast in pairs])
    require_known("metric", [metric], [known.name for known in METRICS])
    (wanted,) = [known for known in METRICS if known.name == metric]
    sizings = []
    for record, contrast in pairs:
        if pair in (None, contrast.name):
            of_pair = matches(record, contrast, by_level(load_trials(store, record.name), "model"))
            for (_, setting), by_machine in newest_by("machine_id", of_pair).items():
                sizings.append(_sizing(contrast.name, setting, by_machine, wanted, factor))
    return sizings


def stated(within: float, between: float | None, *, factor: float) -> tuple[Size, ...]:
    """Return the sizes for known variances of the log ratio, within and between machines.

    Without `between` there is that of one machine only. Raises ValueError for a factor that is not above 1.
    """
    several = MACHINES if between is not None else (1,)
    return tuple(size(between or 0.0, within, machines, factor=factor) for machines in several)


def _sizing(pair: str, setting: Setting, by_machine: Mapping[str, Match], metric: Metric, factor: float) -> Sizing:
    basis = common_basis(list(by_machine.values())) if metric.name == "energy" else None
    by_model = log_ratios_by_machine(by_machine, metric, basis)
    logs = without_models(by_model)
    machines = len(logs)
    # Where every machine has a CPU model of its own, only the variance of both together is known.
    spread = components(by_model if len(by_model) < machines else {"": logs})
    between = None if machines < 2 else between_machines(spread)
    return Sizing(
        pair=pair,
        setting=setting,
        metric=metric.name,
        machines=machines,
        blocks=sum(map(len, logs.values())),
        spread=spread,
        sizes=() if not spread.block else stated(spread.block, between, factor=factor),
        reason=_reason(spread, machines),
    )


def without_models(by_model: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, Sequence[float]]:
    """Return the log ratios by machine, from those by CPU model and machine."""
    return {machine: logs for machines in by_model.values() for machine, logs in machines.items()}


def between_machines(spread: Components) -> float | None:
    """Return the variance between machines of any CPU model; None where the data do not tell it."""
    known = [value for value in (spread.cpu_model, spread.machine) if value is not None]
    return sum(known) if known else None


def _reason(spread: Components, machines: int) -> str | None:
    if not spread.block:
        return "no machine has two blocks that differ"
    if machines < 2:
        return "one machine does not show how machines differ: state it by --between"
    return None
