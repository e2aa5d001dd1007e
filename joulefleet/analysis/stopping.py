"""How many blocks a study needs for the precision that it states, from its pilot blocks' variance alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from joulefleet.analysis.comparison import Setting
from joulefleet.analysis.contrasts import model_contrasts
from joulefleet.analysis.estimates import logs_of
from joulefleet.analysis.findings import common_basis
from joulefleet.analysis.judging import stated_in
from joulefleet.analysis.matching import Match, by_level, matches
from joulefleet.analysis.metrics import METRICS, Metric, load_trials
from joulefleet.analysis.progress import chosen
from joulefleet.analysis.sentences import percent_of
from joulefleet.analysis.sizing import between_machines
from joulefleet.analysis.statistics.components import components
from joulefleet.analysis.statistics.machines import MACHINES_FOR_MEAN
from joulefleet.analysis.statistics.sizes import PILOT_BLOCKS, size, stein_blocks
from joulefleet.analysis.store import Store
from joulefleet.analysis.study_records import newest


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
    (record,) = chosen(newest(store.studies), study)
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
        settings: dict[Setting, list[Match]] = defaultdict(list)
        for match in matches(record, contrast, levels, exclude_marks=stated.exclude_marks):
            if stated.tasks is None or match.setting.task in stated.tasks:
                settings[replace(match.setting, machine_id=None)].append(_first(match, pilot))
        for setting, found in settings.items():
            what = f"{contrast.name} on {setting.task}"
            needs += _needs(what, found, metric, factor=factor, confidence=1 - stated.alpha)
    return needs


def _first(match: Match, pilot: int) -> Match:
    """`match` with its pilot blocks alone."""
    pairs = tuple(pair for pair in match.blocks.pairs if (pair[0].block or 0) <= pilot)
    return replace(match, blocks=replace(match.blocks, pairs=pairs))


def _needs(what: str, found: Sequence[Match], metric: Metric, *, factor: float, confidence: float) -> list[Need]:
    basis = common_basis(found) if metric.name == "energy" else None
    logs: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for match in found:
        of = logs_of(match, metric, basis)
        if len(of) < PILOT_BLOCKS:
            reason = f"{len(of)} pilot blocks count, and {PILOT_BLOCKS} are needed"
            return [Need(what=f"{what} on {match.first.machine}", blocks=None, reason=reason)]
        logs[match.first.cpu_model or str(match.setting.machine_id)][str(match.first.machine)] = of
    machines = {name: of for by_machine in logs.values() for name, of in by_machine.items()}
    if len(machines) < MACHINES_FOR_MEAN:
        return [
            Need(
                what=f"{what} on {name}",
                blocks=stein_blocks(float(np.var(of, ddof=1)), len(of), factor=factor, confidence=confidence),
                reason=None,
            )
            for name, of in machines.items()
        ]
    spread = components(logs)
    between = between_machines(spread)
    if not spread.block or between is None:
        return [Need(what=what, blocks=None, reason="how machines differ cannot be told from how their blocks do")]
    wanted = size(between, spread.block, len(machines), factor=factor, confidence=confidence)
    if wanted.blocks is None:
        apart = percent_of(between)
        reason = f"{len(machines)} machines differ by {apart}: no number of blocks is enough, add machines"
        return [Need(what=what, blocks=None, reason=reason)]
    return [Need(what=what, blocks=wanted.blocks, reason=None)]
