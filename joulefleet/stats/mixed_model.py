"""A mixed model of the blocks of all machines, as a check of the mean over machines.

For trials the model is log value ~ treatment, with a level for each block and a random slope of treatment
for each machine. The log ratio of a block removes the level, and the slope becomes a random intercept:
log ratio ~ 1 + (1 | machine), or, where CPU models repeat, (1 | cpu_model / machine). It is fitted by
restricted maximum likelihood (Laird and Ware, Biometrics 38:963, 1982), with one variance of blocks for
all machines. With equally many blocks a machine the result is the unweighted mean over machines;
otherwise machines with few blocks count less.

statsmodels gives no degrees of freedom and would use the normal distribution, whose interval is too narrow
for ten machines. Here it is Student's t with the number of units less one, which is exact where all units
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
from joulefleet.stats.paired import LOG_RESOLUTION
from joulefleet.stats.variance_components import by_level, components

MACHINES_FOR_MODEL = 10
"""Least number of machines with a model: of fewer the variance between machines is hardly known."""

SINGULAR = 1e-3
"""A standard deviation below this part of that of blocks counts as 0: to tell it from 0 takes a million blocks."""

_METHODS = ("bfgs", "powell", "bfgs")
"""Methods of optimisation, in turn: BFGS alone stops before some optima, Powell's method needs no slope, and a second
run of BFGS makes its result precise."""

_SLOPE = 1e-9
"""Slope of the log likelihood of a block that counts as 0, with log ratios scaled to a variance of 1."""

_LEAST_START = 1e-2
"""Least variance at which the search starts, of the blocks': at 0 the likelihood has no slope in the standard
deviation, so that no search would leave it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedModel:
    """A ratio over machines by the model, from `mixed_model`. Where there is none, `reason` has the reason."""

    unit: Literal["machine", "cpu_model"]
    """The outermost random effect."""
    units: int
    machines: int
    blocks: int
    ratio: float | None
    low: float | None
    high: float | None
    tau: float | None
    """Standard deviation of the true log ratios between machines, of one CPU model where models are nested."""
    tau_cpu_model: float | None
    """Standard deviation between CPU models; None where the unit is the machine."""
    reason: str | None
    """Reason why there is no ratio."""
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The model fitted by `fit`, on the scale of the log ratios."""

    mean: float
    error: float
    """Standard error of the mean."""
    outer: float
    """Standard deviation between the outermost units."""
    machine: float | None
    """Standard deviation between machines of one unit, where units are CPU models."""
    block: float
    converged: bool


def mixed_model(log_ratios: Mapping[str, Mapping[str, Sequence[float]]], *, confidence: float = 0.95) -> MixedModel:
    """Return the model of the blocks' log ratios, which are given by CPU model and machine.

    CPU models are a level of the model where they repeat and there are three or more, as `pool` counts them. A
    machine of unknown CPU model stands as a model of its own. It raises nothing: without a result it has a reason.
    """
    models, machines = by_level(log_ratios)
    nested = MACHINES_FOR_MEAN <= len(models) < len(machines)
    fitted, reason = None, _not_fitted(machines)
    if reason is None:
        fitted = fit(models if nested else [[blocks] for blocks in machines])
        reason = _no_result(fitted)
    known = fitted if reason is None else None
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
    """Return the model fitted to log ratios: an array of blocks for each machine of each outermost unit.

    Where every unit has one machine the model has one level. The blocks of at least one machine must differ.
    None where the likelihood has no curvature at its optimum.
    """
    # The import takes half a second, and few comparisons ask for the model.
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
        # Warnings of a search that continues by the next method, or about what `_no_result` judges.
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
    """Return the standard error of the mean by generalised least squares, given the variances.

    That of statsmodels includes the curvature between mean and variances, whose expectation is 0.
    """
    weights = [1 / (outer + 1 / sum(1 / (machine + block / len(blocks)) for blocks in machines)) for machines in units]
    return 1 / math.sqrt(sum(weights))


def _start(units: Sequence[Sequence[np.ndarray]]) -> tuple[float, float]:
    """Return where the search starts: the components by mean squares, as parts of the blocks' variance.

    With equally many blocks a machine this is the optimum, unless a component is 0. From its own start
    statsmodels misses small components and may report that it has converged elsewhere.
    """
    nested = any(len(machines) > 1 for machines in units)
    by_unit = {
        str(unit): {str(machine): list(blocks) for machine, blocks in enumerate(machines)}
        for unit, machines in enumerate(units)
    }
    flat = {"all": {unit: machines["0"] for unit, machines in by_unit.items()}}
    spread = components(by_unit if nested else flat)
    block = spread.block or 1.0
    outer = spread.cpu_model if nested else spread.machine
    return max(_LEAST_START, (outer or 0.0) / block), max(_LEAST_START, (spread.machine or 0.0) / block)


def _not_fitted(machines: Sequence[np.ndarray]) -> str | None:
    if len(machines) < MACHINES_FOR_MODEL:
        return f"{len(machines)} machine{'' if len(machines) == 1 else 's'}: a mixed model needs {MACHINES_FOR_MODEL}"
    if all(len(blocks) == 1 for blocks in machines):
        return "one block a machine: what differs between machines cannot be told from what differs between blocks"
    if all(float(np.ptp(blocks)) <= LOG_RESOLUTION for blocks in machines):
        return "zero variance: the blocks of each machine have the same ratio"
    return None


def _no_result(fitted: Fit | None) -> str | None:
    if fitted is None or not fitted.converged:
        return "the fit did not converge"
    least = SINGULAR * fitted.block
    if fitted.machine is not None and fitted.machine < least:
        return "singular: machines of one CPU model differ no more than their blocks' noise explains"
    if fitted.outer < least:
        what = "machines" if fitted.machine is None else "CPU models"
        return f"singular: {what} differ no more than the noise within them explains"
    return None
