"""Two-stage studies: the number of blocks for the stated precision, from the variance of the pilot blocks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from joulefleet.compare.contrasts import model_contrasts
from joulefleet.compare.estimation import block_log_ratios, log_ratios_by_machine
from joulefleet.compare.formatting import deviation_text
from joulefleet.compare.matching import Match, by_level, matches, newest_by
from joulefleet.compare.metrics import METRICS, Metric, load_trials
from joulefleet.compare.pooled import common_basis
from joulefleet.compare.results import Setting
from joulefleet.compare.roles import stated_primary
from joulefleet.compare.sample_size import without_models
from joulefleet.query.progress import select_records
from joulefleet.query.store import Store
from joulefleet.stats.meta_analysis import MACHINES_FOR_MEAN
from joulefleet.stats.sample_size import PILOT_BLOCKS, size, stein_blocks
from joulefleet.stats.variance_components import components
from joulefleet.store.records import newest


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """The number of blocks that one comparison of the primary family needs."""

    what: str
    """Pair, task and machine, for people."""
    blocks: int | None
    """Blocks on each machine, the pilot blocks included; None where no number is enough."""
    reason: str | None
    """Reason why no number is enough."""


def blocks_needed(store: Store, study: str) -> list[Need]:
    """Return what each primary comparison of `study` needs for the precision that the study states.

    One or two machines have no mean: each needs the blocks that Stein's rule derives from its pilot blocks. Of
    three or more the mean is wanted, and its precision also depends on how machines differ. Raises QueryError
    where there is no such study, ValueError where it states no precision.
    """
    (record,) = select_records(newest(store.studies), study)
    stated = stated_primary(record)
    if stated.precision_percent is None or stated.pilot_blocks is None:
        raise ValueError(f"{study} states no precision")
    factor, pilot = 1 + stated.precision_percent / 100, stated.pilot_blocks
    (metric,) = [metric for metric in METRICS if metric.name == stated.metric]
    levels = by_level(load_trials(store, study), "model")
    needs = []
    for contrast in model_contrasts(record):
        if contrast.kind != "distillation" or (stated.pairs is not None and contrast.name not in stated.pairs):
            continue
        wanted = [
            match
            for match in matches(record, contrast, levels, exclude_flags=stated.exclude_flags)
            if stated.tasks is None or match.setting.task in stated.tasks
        ]
        settings = newest_by("machine_id", wanted)
        for (_, setting), by_machine in settings.items():
            varied = _varied_levels(setting, [other for _, other in settings])
            what = " ".join([contrast.name, "on", str(setting.task), *varied])
            pilots = {machine_id: _pilot_blocks(match, pilot) for machine_id, match in by_machine.items()}
            needs += _needs(what, pilots, metric, factor=factor, confidence=1 - stated.alpha)
    return needs


def _varied_levels(setting: Setting, settings: Collection[Setting]) -> list[str]:
    """Return the levels of `setting` that are not the same in all `settings`."""
    levels = (
        (f"batch {setting.batch_size}", {other.batch_size for other in settings}),
        (f"{setting.threads_requested} threads", {other.threads_requested for other in settings}),
        (str(setting.dtype), {other.dtype for other in settings}),
        (str(setting.environment), {other.environment for other in settings}),
    )
    return [level for level, every in levels if len(every) > 1]


def _pilot_blocks(match: Match, pilot: int) -> Match:
    """Return `match` with its pilot blocks only."""
    pairs = tuple(pair for pair in match.blocks.pairs if (pair[0].block or 0) <= pilot)
    return replace(match, blocks=replace(match.blocks, pairs=pairs))


def _needs(
    what: str, by_machine: Mapping[str, Match], metric: Metric, *, factor: float, confidence: float
) -> list[Need]:
    basis = common_basis(list(by_machine.values())) if metric.name == "energy" else None
    names = {machine_id: match.first.machine or machine_id for machine_id, match in by_machine.items()}
    logs = {machine_id: block_log_ratios(match, metric, basis) for machine_id, match in by_machine.items()}
    few = {machine_id: len(blocks) for machine_id, blocks in logs.items() if len(blocks) < PILOT_BLOCKS}
    needs = [
        Need(
            what=f"{what} on {names[machine_id]}",
            blocks=None,
            reason=f"{count} pilot blocks count, and {PILOT_BLOCKS} are needed",
        )
        for machine_id, count in few.items()
    ]
    enough = {machine_id: match for machine_id, match in by_machine.items() if machine_id not in few}
    if len(enough) >= MACHINES_FOR_MEAN:
        by_model = log_ratios_by_machine(enough, metric, basis)
        return [*needs, _mean_need(what, by_model, factor=factor, confidence=confidence)]
    return needs + [
        Need(
            what=f"{what} on {names[machine_id]}",
            blocks=stein_blocks(
                float(np.var(logs[machine_id], ddof=1)), len(logs[machine_id]), factor=factor, confidence=confidence
            ),
            reason=None,
        )
        for machine_id in enough
    ]


def _mean_need(
    what: str, logs: Mapping[str, Mapping[str, Sequence[float]]], *, factor: float, confidence: float
) -> Need:
    """Return what the mean over three machines or more needs; a CPU model counts once where `pool` counts it so.

    `logs` are log ratios by CPU model and machine.
    """
    machines = sum(map(len, logs.values()))
    nested = MACHINES_FOR_MEAN <= len(logs) < machines
    each = machines / len(logs) if nested else 1.0
    spread = components(logs) if nested else components({"": without_models(logs)})
    between = (spread.cpu_model or 0.0) + (spread.machine or 0.0) / each
    if not spread.block:
        return Need(what=what, blocks=None, reason="no machine has two blocks that differ")
    units, unit = (len(logs), "CPU models") if nested else (machines, "machines")
    wanted = size(between, spread.block / each, units, factor=factor, confidence=confidence)
    if wanted.blocks is None:
        reason = f"{units} {unit} differ by {deviation_text(between)}: no number of blocks is enough, add machines"
        return Need(what=what, blocks=None, reason=reason)
    return Need(what=what, blocks=wanted.blocks, reason=None)
