"""One ratio over all machines: what each says, and their mean where there are enough of them."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from joulefleet.compare.estimation import Terms, common_joules, estimate, logs_of
from joulefleet.compare.matching import Match, newest_apart
from joulefleet.compare.metrics import PROVENANCES, Basis, Metric
from joulefleet.compare.results import MachineResult, PooledFinding, Setting
from joulefleet.stats import Estimate, MachineEffect, Pooled, on_every_machine, pool
from joulefleet.stats.meta_analysis import MACHINES_FOR_MEAN
from joulefleet.stats.mixed_model import MACHINES_FOR_MODEL, mixed_model
from joulefleet.stats.paired import BLOCKS_FOR_INTERVAL, BLOCKS_FOR_TEST
from joulefleet.stats.variance_components import components

LEVEL_NOISE = 1e-12
"""A standard error below this is rounding: no machine is that precise."""


def find(
    matches: Sequence[Match], metrics: Sequence[Metric], terms: Terms, *, mixed: bool = False
) -> Iterator[PooledFinding]:
    """The findings of one contrast: settings in the order of `matches`, metrics within. Not judged yet.

    `mixed`: fit a mixed model as well, which takes half a second each.
    """
    for (_, setting), by_machine in newest_apart(matches, "machine_id").items():
        for metric in metrics:
            yield _finding(setting, by_machine, metric, terms, mixed=mixed)


def _finding(
    setting: Setting, by_machine: Mapping[str, Match], metric: Metric, terms: Terms, *, mixed: bool
) -> PooledFinding:
    some = next(iter(by_machine.values()))
    contrast = some.contrast
    basis = common_basis(list(by_machine.values())) if metric.name == "energy" else None
    results, left_out = [], {}
    for machine_id, match in by_machine.items():
        ratio = estimate(match, metric, basis, terms)
        if ratio.error is None or ratio.error < LEVEL_NOISE:
            name = match.first.machine or machine_id
            left_out[name if name not in left_out else f"{name} ({machine_id})"] = _why_not(match, metric, basis, ratio)
        else:
            results.append(
                MachineResult(
                    machine_id=machine_id,
                    machine=match.first.machine,
                    cpu_model=match.first.cpu_model,
                    ratio=ratio,
                )
            )
    several = len(by_machine) > 1 and contrast.by != "machine"
    pooled = _pooled(results, terms) if several else None
    every = None if left_out else on_every_machine([(result.ratio.low, result.ratio.high) for result in results])
    logs = _logs(by_machine, metric, basis) if several and some.paired else {}
    fit = mixed and sum(map(len, logs.values())) >= MACHINES_FOR_MODEL
    return PooledFinding(
        by=contrast.by,
        pair=contrast.name,
        kind=contrast.kind,
        setting=setting,
        metric=metric.name,
        title=metric.title_of(some.first),
        basis=basis,
        reference=contrast.reference_name,
        other=contrast.other_name,
        paired=some.paired,
        machines=tuple(results),
        left_out=left_out,
        pooled=pooled,
        on_every_machine=every,
        components=components(logs) if logs else None,
        mixed=mixed_model(logs, confidence=terms.confidence) if fit else None,
        role="exploratory",
        p_value=pooled.p_value if pooled else results[0].ratio.p_value if len(results) == 1 else None,
        p_adjusted=None,
        family_size=0,
        within=(),
        sentence="",
    )


def common_basis(matches: Sequence[Match]) -> Basis | None:
    """The basis on which most machines have both arms: counted before modelled wherever a mean can be had."""
    common: Counter[Basis] = Counter()
    blocks: Counter[Basis] = Counter()
    for match in matches:
        joules = common_joules(match)
        blocks.update(joules)
        # With fewer blocks a machine has no interval, and does not count.
        common.update({basis for basis, count in joules.items() if count >= BLOCKS_FOR_INTERVAL})
    enough = min(MACHINES_FOR_MEAN, len(matches))
    return max(
        blocks,
        key=lambda basis: (
            common[basis] >= enough,
            -PROVENANCES.index(basis.provenance),
            common[basis],
            blocks[basis],
            str(basis),
        ),
        default=None,
    )


def _why_not(match: Match, metric: Metric, basis: Basis | None, ratio: Estimate) -> str:
    """Why a machine has no interval: the reason for its lack of joules says more than that there are none."""
    if metric.name == "energy" and not any(basis in trial.joules for trial in (*match.reference, *match.other)):
        reasons = Counter(trial.energy_reason for trial in (*match.reference, *match.other) if trial.energy_reason)
        if reasons:
            return f"no energy of this kind: {reasons.most_common(1)[0][0]}"
    return ratio.interval_reason or "zero variance: every block has the same ratio"


def _pooled(results: Sequence[MachineResult], terms: Terms) -> Pooled:
    pooled = pool(
        [
            MachineEffect(
                machine=result.machine_id,
                cpu_model=result.cpu_model,
                log_ratio=math.log(result.ratio.ratio),
                variance=result.ratio.error**2,
            )
            for result in results
            if result.ratio.ratio is not None and result.ratio.error is not None
        ],
        confidence=terms.confidence,
    )
    # As within a machine: looking at p-values on the way raises the rate of false positives, and few blocks have none.
    tested = terms.finished and all(result.ratio.n_blocks >= BLOCKS_FOR_TEST for result in results)
    return pooled if tested else replace(pooled, p_value=None)


def _logs(by_machine: Mapping[str, Match], metric: Metric, basis: Basis | None) -> dict[str, dict[str, list[float]]]:
    """The blocks' log ratios by CPU model and machine."""
    by_model: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for machine_id, match in by_machine.items():
        logs = logs_of(match, metric, basis)
        if logs:
            by_model[match.first.cpu_model or machine_id][machine_id] = logs
    return by_model
