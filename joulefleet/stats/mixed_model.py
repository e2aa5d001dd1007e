"""A mixed model over machines: a check of the mean over machines, from the blocks themselves.

On trials the model is log value ~ treatment, with levels of their own for each block and a random slope
of treatment for each machine. A block's log ratio takes the levels out, and the slope becomes a random
intercept: log ratio ~ 1 + (1 | machine), or, where CPU models repeat, (1 | cpu_model / machine). Fitted
by restricted maximum likelihood (Laird and Ware, Biometrics 38:963, 1982), with one variance of blocks
for all machines. With equally many blocks a machine it gives what the unweighted mean over machines
gives; otherwise machines with few blocks count less.

statsmodels finds no degrees of freedom and would use the normal distribution, which is too narrow for
ten machines. Here it is Student's t with the number of units less one, which is exact where all units
have equally many machines and blocks, and an approximation otherwise.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from joulefleet.stats.meta_analysis import MACHINES_FOR_MEAN
from joulefleet.stats.variance_components import components

MACHINES_FOR_MODEL = 10
"""Fewer say too little of the variance between machines for a model that rests on it."""

SINGULAR = 1e-3
"""A standard deviation below this part of the blocks' is none: to tell it from 0 takes a million blocks."""

_METHODS = ("bfgs", "powell", "bfgs")
"""BFGS alone stops short of some optima; Powell's method needs no slope, and the last run gives its result digits."""

_SLOPE = 1e-9
"""Of the log likelihood of a block at the optimum, with log ratios scaled to a variance of 1."""

_LOG_RESOLUTION = 1e-12
"""Log ratios closer than this are equal: doubles of equal ratios differ by some 1e-15 in their logarithms."""

_LEAST_START = 1e-2
"""At a variance of 0 the likelihood has no slope in the standard deviation: a search could never leave it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedModel:
    """What the fit says. What is None has its reason beside it."""

    unit: Literal["machine", "cpu_model"]
    """What the outermost random effect is of."""
    units: int
    machines: int
    blocks: int
    ratio: float | None
    low: float | None
    high: float | None
    tau: float | None
    """Standard deviation of the true log ratios between machines, of one CPU model where models are nested."""
    tau_cpu_model: float | None
    """Between CPU models; None as well where the unit is the machine."""
    reason: str | None
    """Why there is none of these."""
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A fit on the scale of the log ratios."""

    mean: float
    error: float
    """Standard error of the mean."""
    outer: float
    """Standard deviation between the outermost units."""
    machine: float | None
    """Between machines of one unit, where units are CPU models."""
    block: float
    converged: bool


def mixed_model(log_ratios: Mapping[str, Mapping[str, Sequence[float]]], *, confidence: float = 0.95) -> MixedModel:
    """The model of the blocks' log ratios, given by CPU model and machine.

    CPU models are nested where they repeat and there are three or more, as `pool` counts them. A machine
    of unknown CPU model stands as a model of its own.
    """
    models = [[np.asarray(blocks, dtype=float) for blocks in of.values() if len(blocks)] for of in log_ratios.values()]
    models = [of for of in models if of]
    machines = [blocks for of in models for blocks in of]
    nested = MACHINES_FOR_MEAN <= len(models) < len(machines)
    found, reason = None, _not_fitted(machines)
    if reason is None:
        found = fit(models if nested else [[blocks] for blocks in machines])
        reason = _no_result(found)
    known = found if reason is None else None
    units = len(models) if nested else len(machines)
    margin = None if known is None else float(stdtrit(units - 1, 0.5 + confidence / 2)) * known.error
    within = None if known is None else known.machine if nested else known.outer
    return MixedModel(
        unit="cpu_model" if nested else "machine",
        units=units,
        machines=len(machines),
        blocks=sum(len(blocks) for blocks in machines),
        ratio=None if known is None else math.exp(known.mean),
        low=None if known is None or margin is None else math.exp(known.mean - margin),
        high=None if known is None or margin is None else math.exp(known.mean + margin),
        tau=within,
        tau_cpu_model=known.outer if known is not None and nested else None,
        reason=reason,
        confidence=confidence,
    )


def fit(units: Sequence[Sequence[np.ndarray]]) -> Fit | None:
    """Fit blocks by machine by outermost unit; one machine in every unit makes a model of one level.

    The blocks of at least one machine must differ. None where the likelihood has no curvature at its optimum.
    """
    # Half a second: only who asks for the model waits for it.
    from statsmodels.regression.mixed_linear_model import MixedLM, MixedLMParams, VCSpec

    nested = any(len(machines) > 1 for machines in units)
    y = np.concatenate([blocks for machines in units for blocks in machines])
    groups = np.repeat(np.arange(len(units)), [sum(map(len, machines)) for machines in units])
    centre, scale = float(np.mean(y)), float(np.std(y))
    levels = None
    if nested:
        matrices = [
            np.repeat(np.eye(len(machines)), [len(blocks) for blocks in machines], axis=0) for machines in units
        ]
        names = [[f"machine {number}" for number in range(len(machines))] for machines in units]
        levels = VCSpec(["machine"], [names], [matrices])
    ones = np.ones((len(y), 1))
    model = MixedLM((y - centre) / scale, ones, groups, exog_re=ones, exog_vc=levels)
    outer, machine = _start(units)
    start = MixedLMParams.from_components(
        fe_params=np.zeros(1), cov_re=np.array([[outer]]), vcomp=np.array([machine] if nested else [])
    )
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # Of a search that goes on by the next method, and of what `_no_result` judges.
        warnings.simplefilter("ignore")
        try:
            result = model.fit(start_params=start, method=list(_METHODS), gtol=_SLOPE)
        except np.linalg.LinAlgError:
            return None
    outer, machine, block = (
        scale**2 * float(part) for part in (result.cov_re[0, 0], result.vcomp[0] if nested else 0.0, result.scale)
    )
    return Fit(
        mean=centre + scale * float(result.fe_params[0]),
        error=_error(units, outer, machine, block),
        outer=math.sqrt(outer),
        machine=math.sqrt(machine) if nested else None,
        block=math.sqrt(block),
        converged=bool(result.converged),
    )


def _error(units: Sequence[Sequence[np.ndarray]], outer: float, machine: float, block: float) -> float:
    """The standard error of the mean by generalised least squares, at these variances.

    statsmodels' own mixes in the curvature between mean and variances, which is 0 but for chance.
    """
    weights = [1 / (outer + 1 / sum(1 / (machine + block / len(blocks)) for blocks in machines)) for machines in units]
    return 1 / math.sqrt(sum(weights))


def _start(units: Sequence[Sequence[np.ndarray]]) -> tuple[float, float]:
    """Where the search begins: the components by mean squares, as parts of the blocks' variance.

    With equally many blocks a machine this is the optimum, unless one of them is 0. From its own start
    statsmodels runs past small components and may take where it ends for converged.
    """
    nested = any(len(machines) > 1 for machines in units)
    by_unit = {
        str(unit): {str(machine): list(blocks) for machine, blocks in enumerate(machines)}
        for unit, machines in enumerate(units)
    }
    flat = {"all": {unit: of["0"] for unit, of in by_unit.items()}}
    found = components(by_unit if nested else flat)
    block = found.block or 1.0
    outer = found.cpu_model if nested else found.machine
    return max(_LEAST_START, (outer or 0.0) / block), max(_LEAST_START, (found.machine or 0.0) / block)


def _not_fitted(machines: Sequence[np.ndarray]) -> str | None:
    if len(machines) < MACHINES_FOR_MODEL:
        return f"{len(machines)} machine{'' if len(machines) == 1 else 's'}: a mixed model needs {MACHINES_FOR_MODEL}"
    if all(len(blocks) == 1 for blocks in machines):
        return "one block a machine: what differs between machines cannot be told from what differs between blocks"
    if all(float(np.ptp(blocks)) <= _LOG_RESOLUTION for blocks in machines):
        return "zero variance: the blocks of each machine have the same ratio"
    return None


def _no_result(found: Fit | None) -> str | None:
    if found is None or not found.converged:
        return "the fit did not converge"
    least = SINGULAR * found.block
    if found.machine is not None and found.machine < least:
        return "singular: machines of one CPU model differ no more than their blocks' noise explains"
    if found.outer < least:
        what = "machines" if found.machine is None else "CPU models"
        return f"singular: {what} differ no more than the noise within them explains"
    return None
