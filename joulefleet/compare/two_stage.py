"""How many blocks a study needs for the precision that it states, from its pilot blocks' variance alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from joulefleet.compare.conclusions import percent_of
from joulefleet.compare.contrasts import model_contrasts
from joulefleet.compare.estimation import logs_of
from joulefleet.compare.matching import Match, by_level, matches, newest_apart
from joulefleet.compare.metrics import METRICS, Metric, load_trials
from joulefleet.compare.pooled import common_basis
from joulefleet.compare.results import Setting
from joulefleet.compare.roles import stated_in
from joulefleet.compare.sample_size import flat
from joulefleet.query.progress import select_records
from joulefleet.query.store import Store
from joulefleet.stats.meta_analysis import MACHINES_FOR_MEAN
from joulefleet.stats.sample_size import PILOT_BLOCKS, size, stein_blocks
from joulefleet.stats.variance_components import components
from joulefleet.store.records import newest


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What one comparison of the primary family needs."""

    what: str
    """Pair, task and machine, for people."""
    blocks: int | None
    """On each machine, the pilot blocks included; None where no number is enough."""
    reason: str | None
    """Why there is none."""


def blocks_needed(store: Store, study: str) -> list[Need]:
    """What each primary comparison of `study` needs for the precision that it states.

    One or two machines speak for themselves: each needs what Stein's rule says of its pilot blocks. Of
    three or more the mean is wanted, and its width also depends on how machines differ. Raises QueryError
    where there is no such study, ValueError where it states no precision.
    """
    (record,) = select_records(newest(store.studies), study)
    stated = stated_in(record)
    if stated.precision_percent is None or stated.pilot_blocks is None:
        raise ValueError(f"{study} states no precision")
    factor, pilot = 1 + stated.precision_percent / 100, stated.pilot_blocks
    (metric,) = [metric for metric in METRICS if metric.name == stated.metric]
    levels = by_level(load_trials(store, study), "model")
    needs = []
    for contrast in model_contrasts(record):
        if contrast.kind != "distillation" or (stated.pairs is not None and contrast.name not in stated.pairs):
            continue
        found = matches(record, contrast, levels, exclude_flags=stated.exclude_flags)
        wanted = [match for match in found if stated.tasks is None or match.setting.task in stated.tasks]
        settings = newest_apart(wanted, "machine_id")
        among = [setting for _, setting in settings]
        for (_, setting), by_machine in settings.items():
            what = " ".join([contrast.name, "on", str(setting.task), *_varied(setting, among)])
            first = [_first(match, pilot) for match in by_machine.values()]
            needs += _needs(what, first, metric, factor=factor, confidence=1 - stated.alpha)
    return needs


def _varied(setting: Setting, among: Collection[Setting]) -> list[str]:
    """The levels of `setting` that are not the same `among` all."""
    levels = (
        (f"batch {setting.batch_size}", {other.batch_size for other in among}),
        (f"{setting.threads_asked} threads", {other.threads_asked for other in among}),
        (str(setting.dtype), {other.dtype for other in among}),
        (str(setting.environment), {other.environment for other in among}),
    )
    return [level for level, every in levels if len(every) > 1]


def _first(match: Match, pilot: int) -> Match:
    """`match` with its pilot blocks alone."""
    pairs = tuple(pair for pair in match.blocks.pairs if (pair[0].block or 0) <= pilot)
    return replace(match, blocks=replace(match.blocks, pairs=pairs))


def _needs(what: str, found: Sequence[Match], metric: Metric, *, factor: float, confidence: float) -> list[Need]:
    basis = common_basis(found) if metric.name == "energy" else None
    logs: dict[str, dict[str, list[float]]] = defaultdict(dict)
    needs, names = [], {}
    for match in found:
        machine_id, name = str(match.setting.machine_id), match.first.machine or match.first.machine_id
        of = logs_of(match, metric, basis)
        if len(of) < PILOT_BLOCKS:
            reason = f"{len(of)} pilot blocks count, and {PILOT_BLOCKS} are needed"
            needs.append(Need(what=f"{what} on {name}", blocks=None, reason=reason))
            continue
        names[machine_id] = name
        logs[match.first.cpu_model or machine_id][machine_id] = of
    if len(names) < MACHINES_FOR_MEAN:
        return needs + [
            Need(
                what=f"{what} on {names[machine_id]}",
                blocks=stein_blocks(float(np.var(of, ddof=1)), len(of), factor=factor, confidence=confidence),
                reason=None,
            )
            for by_machine in logs.values()
            for machine_id, of in by_machine.items()
        ]
    return [*needs, _mean_needs(what, logs, factor=factor, confidence=confidence)]


def _mean_needs(
    what: str, logs: Mapping[str, Mapping[str, Sequence[float]]], *, factor: float, confidence: float
) -> Need:
    """What the mean over three machines or more needs; each CPU model counts once where `pool` counts it so."""
    machines = sum(map(len, logs.values()))
    nested = MACHINES_FOR_MEAN <= len(logs) < machines
    each = machines / len(logs) if nested else 1.0
    spread = components(logs) if nested else components({"": flat(logs)})
    between = (spread.cpu_model or 0.0) + (spread.machine or 0.0) / each
    if not spread.block:
        return Need(what=what, blocks=None, reason="no machine has two blocks that differ")
    units = len(logs) if nested else machines
    wanted = size(between, spread.block / each, units, factor=factor, confidence=confidence)
    if wanted.blocks is None:
        reason = (
            f"{units} {'CPU models' if nested else 'machines'} differ by {percent_of(between)}: no number of blocks is "
            "enough, add machines"
        )
        return Need(what=what, blocks=None, reason=reason)
    return Need(what=what, blocks=wanted.blocks, reason=None)
