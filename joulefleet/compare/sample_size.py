"""How many machines and blocks a ratio of a wanted precision needs, from trials that a store has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from joulefleet.compare.contrasts import model_contrasts
from joulefleet.compare.estimation import logs_of
from joulefleet.compare.matching import Match, by_level, checked, matches
from joulefleet.compare.metrics import METRICS, Metric, load_trials
from joulefleet.compare.pooled import common_basis
from joulefleet.compare.results import Setting
from joulefleet.query.progress import select_records
from joulefleet.query.store import Store
from joulefleet.stats.sample_size import Size, size
from joulefleet.stats.variance_components import Components, components
from joulefleet.store.records import newest

MACHINES = (1, 3, 5, 10, 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """What one ratio needs. Variances are of its logarithm."""

    pair: str
    setting: Setting
    """Without a machine."""
    metric: str
    machines: int
    blocks: int
    """What the variances were estimated from: blocks of all machines."""
    spread: Components
    sizes: tuple[Size, ...]
    """One for each number of machines that can be judged."""
    reason: str | None
    """Why several machines cannot be judged."""


def sizing(
    store: Store, *, factor: float, study: str | None = None, pair: str | None = None, metric: str = "energy"
) -> list[Sizing]:
    """What each pair and setting needs for an interval of a half-width of `factor` (1.05 for 5 %).

    Raises QueryError where the store has no such study, pair or metric; ValueError for a factor that is
    not above 1.
    """
    records = select_records(newest(store.studies), study)
    pairs = [
        (record, contrast)
        for record in records
        if record.imported_from is None
        for contrast in model_contrasts(record)
        if contrast.kind == "distillation"
    ]
    checked("pair in these studies", [pair] if pair else None, [contrast.name for _, contrast in pairs])
    checked("metric", [metric], [known.name for known in METRICS])
    (wanted,) = [known for known in METRICS if known.name == metric]
    found = []
    for record, contrast in pairs:
        if pair in (None, contrast.name):
            settings: dict[Setting, list[Match]] = defaultdict(list)
            for match in matches(record, contrast, by_level(load_trials(store, record.name), "model")):
                settings[replace(match.setting, machine_id=None)].append(match)
            found += [_sizing(contrast.name, setting, of, wanted, factor) for setting, of in settings.items()]
    return found


def stated(within: float, between: float | None, *, factor: float) -> tuple[Size, ...]:
    """The sizes for stated variances of the log ratio; several machines only where `between` is stated."""
    several = MACHINES if between is not None else (1,)
    return tuple(size(between or 0.0, within, machines, factor=factor) for machines in several)


def _sizing(pair: str, setting: Setting, found: Sequence[Match], metric: Metric, factor: float) -> Sizing:
    basis = common_basis(found) if metric.name == "energy" else None
    by_model: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for match in found:
        machine = str(match.setting.machine_id)
        logs = logs_of(match, metric, basis)
        if logs:
            by_model[match.first.cpu_model or machine][machine] = logs
    machines = sum(len(of) for of in by_model.values())
    # Where every machine is of a CPU model of its own, only both together can be told.
    spread = components(by_model if len(by_model) < machines else {"": flat(by_model)})
    between = None if machines < 2 else between_machines(spread)
    return Sizing(
        pair=pair,
        setting=setting,
        metric=metric.name,
        machines=machines,
        blocks=sum(len(blocks) for of in by_model.values() for blocks in of.values()),
        spread=spread,
        sizes=() if not spread.block else stated(spread.block, between, factor=factor),
        reason=_reason(spread, machines),
    )


def flat(by_model: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, Sequence[float]]:
    """The log ratios by machine alone."""
    return {machine: logs for of in by_model.values() for machine, logs in of.items()}


def between_machines(spread: Components) -> float | None:
    """The variance between machines of any CPU model; None where the data cannot tell it."""
    known = [value for value in (spread.cpu_model, spread.machine) if value is not None]
    return sum(known) if known else None


def _reason(spread: Components, machines: int) -> str | None:
    if not spread.block:
        return "no machine has two blocks that differ"
    if machines < 2:
        return "one machine says nothing of how machines differ: state it with --between"
    return None
