"""One ratio over all machines: that of each machine, and their mean where there are enough of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from joulefleet.compare.estimation import Terms, common_bases, estimate, log_ratios_by_machine
from joulefleet.compare.matching import Match, newest_by
from joulefleet.compare.metrics import PROVENANCES, Basis, Metric
from joulefleet.compare.results import MachineResult, PooledFinding, Setting
from joulefleet.stats import Estimate, MachineEffect, Pooled, on_every_machine, pool
from joulefleet.stats.meta_analysis import MACHINES_FOR_MEAN
from joulefleet.stats.mixed_model import MACHINES_FOR_MODEL, mixed_model
from joulefleet.stats.paired import BLOCKS_FOR_INTERVAL, BLOCKS_FOR_TEST
from joulefleet.stats.variance_components import components

ROUNDING = 1e-12
"""A standard error of a log ratio below this is rounding: no machine is that precise."""


def pooled_findings(
    matches: Sequence[Match], metrics: Sequence[Metric], terms: Terms, *, mixed: bool = False
) -> Iterator[PooledFinding]:
    """Yield the findings of one contrast: settings in the order of `matches`, metrics within.

    They have neither roles nor sentences yet: `joulefleet.compare.roles.assign_roles` and
    `joulefleet.compare.conclusions.sentence_of` give them. `mixed`: fit a mixed model too, which takes half a
    second each.
    """
    for (_, setting), by_machine in newest_by("machine_id", matches).items():
        for metric in metrics:
            yield _finding(setting, by_machine, metric, terms, mixed=mixed)


def _finding(
    setting: Setting, by_machine: Mapping[str, Match], metric: Metric, terms: Terms, *, mixed: bool
) -> PooledFinding:
    first = next(iter(by_machine.values()))
    contrast = first.contrast
    basis = common_basis(list(by_machine.values())) if metric.name == "energy" else None
    results, left_out = [], {}
    for machine_id, match in by_machine.items():
        ratio = estimate(match, metric, basis, terms)
        if ratio.error is None or ratio.error < ROUNDING:
            name = match.first.machine or machine_id
            name = name if name not in left_out else f"{name} ({machine_id})"
            left_out[name] = _why_left_out(match, metric, basis, ratio)
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
    logs = log_ratios_by_machine(by_machine, metric, basis) if several and first.paired else {}
    fit = mixed and sum(map(len, logs.values())) >= MACHINES_FOR_MODEL
    return PooledFinding(
        by=contrast.by,
        pair=contrast.name,
        kind=contrast.kind,
        setting=setting,
        metric=metric.name,
        title=metric.title_of(first.first),
        basis=basis,
        reference=contrast.reference_name,
        other=contrast.other_name,
        paired=first.paired,
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
    """Return the basis for a finding over `matches`, one a machine; None where no machine has joules of both arms.

    Preferred is a basis on which enough machines for a mean have an interval, then the order of PROVENANCES,
    then the basis of most machines, then that of most blocks.
    """
    machines: Counter[Basis] = Counter()
    blocks: Counter[Basis] = Counter()
    for match in matches:
        counts = common_bases(match)
        blocks.update(counts)
        # With fewer blocks a machine has no interval, and does not count.
        machines.update(basis for basis, count in counts.items() if count >= BLOCKS_FOR_INTERVAL)
    enough = min(MACHINES_FOR_MEAN, len(matches))
    return max(
        blocks,
        key=lambda basis: (
            machines[basis] >= enough,
            -PROVENANCES.index(basis.provenance),
            machines[basis],
            blocks[basis],
            str(basis),
        ),
        default=None,
    )


def _why_left_out(match: Match, metric: Metric, basis: Basis | None, ratio: Estimate) -> str:
    """Return why a machine has no interval; without joules it is the sensor's reason."""
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
    # No p-value for an unfinished study or with few blocks, for the same reasons as within one machine.
    tested = terms.finished and all(result.ratio.n_blocks >= BLOCKS_FOR_TEST for result in results)
    return pooled if tested else replace(pooled, p_value=None)
