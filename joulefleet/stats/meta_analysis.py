"""The ratio over several machines, from each machine's own mean log ratio.

The main result is the unweighted mean of the machines with Student's t: the effect on a machine like these,
without any estimate of how machines differ. The check weighs machines by their precision: random effects
by restricted maximum likelihood, with the interval of Hartung and Knapp (Statistics in Medicine 20:3875,
2001) and the factor of at least 1 of Röver, Knapp and Friede (BMC Medical Research Methodology 15:99,
2015). The prediction interval is for the ratio of the next machine: Higgins, Thompson and Spiegelhalter
(Journal of the Royal Statistical Society A 172:137, 2009).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit

MACHINES_FOR_MEAN = 3
"""Least number of machines with a mean: the interval of two by t(1) is thirteen standard errors wide to each side."""

MACHINES_FOR_PREDICTION = 5
"""Least number of machines with a prediction interval: of fewer the variance between them is hardly known."""

_GRID = 200
"""Number of points above 0 at which the likelihood is computed before its maximum is refined."""

_AT_ONCE = 50_000
"""Machines times points of the grid that are computed together: a few arrays of this size fit in a CPU's cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineEffect:
    """One machine's result, which `pool` takes."""

    machine: str
    cpu_model: str | None
    log_ratio: float
    """Mean of the machine's log ratios, other over reference."""
    variance: float
    """Squared standard error of that mean; above zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomEffects:
    """A mean weighted by precision, and how much machines differ. All but tau are ratios, not logarithms."""

    ratio: float
    low: float
    high: float
    tau: float
    """Standard deviation of the true log ratios between machines."""
    i_squared: float
    """Share of the variance that is not the blocks' noise (Higgins and Thompson 2002): near 1 whenever blocks
    are precise, however little machines differ."""
    prediction_low: float | None
    prediction_high: float | None
    prediction_reason: str | None
    """Reason why there is no prediction interval."""

    @property
    def spread(self) -> float:
        """Factor by which the ratio of a typical machine differs from the mean: exp(tau)."""
        return math.exp(self.tau)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """A ratio over machines, from `pool`. Where there is none, `reason` has the reason."""

    unit: Literal["machine", "cpu_model"]
    """The unit that counts once: machines of one CPU model are no independent replicates of each other."""
    units: int
    machines: int
    ratio: float | None
    """Exponential of the unweighted mean of the units' log ratios."""
    low: float | None
    high: float | None
    error: float | None
    """Standard error of the mean log ratio, with units - 1 degrees of freedom."""
    p_value: float | None
    """Two-sided p-value of the ratio being 1. None also where machines share one or two CPU models: they are no
    independent replicates, and so few models are no sample of models."""
    reason: str | None
    """Reason why there is no ratio."""
    check: RandomEffects | None
    """The same by random effects; None where there is no ratio."""
    confidence: float
    shared_models: bool
    """Whether several machines share one or two CPU models."""


def pool(effects: Sequence[MachineEffect], *, confidence: float = 0.95) -> Pooled:
    """Return the ratio over the machines of `effects`, one of each machine, with its interval of level `confidence`.

    Where CPU models repeat and there are three or more, each counts once, by the mean of its machines.
    Machines whose CPU model is unknown count as models of their own. Raises ValueError where a variance is
    not above zero and finite.
    """
    if any(effect.variance <= 0 or not math.isfinite(effect.variance) for effect in effects):
        raise ValueError("every machine needs a variance above zero")
    unit, means, variances = _units(effects)
    reason = _too_few(unit, len(means))
    ratio = low = high = error = p_value = None
    if reason is None:
        mean, error = float(np.mean(means)), float(np.std(means, ddof=1)) / math.sqrt(len(means))
        margin = float(stdtrit(len(means) - 1, 0.5 + confidence / 2)) * error
        ratio, low, high = math.exp(mean), math.exp(mean - margin), math.exp(mean + margin)
        if error > 0 and not _few_models(effects):
            p_value = float(2 * stdtr(len(means) - 1, -abs(mean) / error))
    return Pooled(
        unit=unit,
        units=len(means),
        machines=len(effects),
        ratio=ratio,
        low=low,
        high=high,
        error=error,
        p_value=p_value,
        reason=reason,
        check=None if reason else random_effects(means, variances, confidence=confidence),
        confidence=confidence,
        shared_models=_few_models(effects),
    )


def on_every_machine(intervals: Sequence[tuple[float | None, float | None]]) -> bool | None:
    """Return whether every machine's own interval excludes 1, all on the same side; None where one has no interval.

    An intersection-union test (Berger, Technometrics 24:295, 1982): no correction for the number of machines
    is needed. `intervals` are pairs of low and high, one a machine.
    """
    if not intervals or any(low is None or high is None for low, high in intervals):
        return None
    below = all(high is not None and high < 1 for _, high in intervals)
    above = all(low is not None and low > 1 for low, _ in intervals)
    return below or above


def random_effects(means: Sequence[float], variances: Sequence[float], *, confidence: float = 0.95) -> RandomEffects:
    """Return the random effects of log ratios, one a machine, with their `variances`.

    For the sources of the formulas see the module. Raises ValueError for fewer than MACHINES_FOR_MEAN machines.
    """
    y, v = np.asarray(means, dtype=float), np.asarray(variances, dtype=float)
    k = len(y)
    if k < MACHINES_FOR_MEAN:
        raise ValueError(f"random effects need {MACHINES_FOR_MEAN} machines, not {k}")
    tau2 = reml_tau2(y, v)
    weights = 1 / (v + tau2)
    mean = float(np.sum(weights * y) / np.sum(weights))
    factor = max(1.0, float(np.sum(weights * (y - mean) ** 2)) / (k - 1))
    error2 = factor / float(np.sum(weights))
    margin = float(stdtrit(k - 1, 0.5 + confidence / 2)) * math.sqrt(error2)
    predicted = None
    if k >= MACHINES_FOR_PREDICTION:
        predicted = float(stdtrit(k - 2, 0.5 + confidence / 2)) * math.sqrt(tau2 + error2)
    return RandomEffects(
        ratio=math.exp(mean),
        low=math.exp(mean - margin),
        high=math.exp(mean + margin),
        tau=math.sqrt(tau2),
        i_squared=tau2 / (tau2 + _typical_variance(v)),
        prediction_low=None if predicted is None else math.exp(mean - predicted),
        prediction_high=None if predicted is None else math.exp(mean + predicted),
        prediction_reason=None if predicted else f"{k} machines: a prediction interval needs {MACHINES_FOR_PREDICTION}",
    )


def reml_tau2(y: np.ndarray, v: np.ndarray) -> float:
    """Return the variance between machines by restricted maximum likelihood; at least 0.

    y, v: log ratios and their variances, arrays of one length. Viechtbauer, Journal of Educational and
    Behavioral Statistics 30:261 (2005). The likelihood can have several peaks, so the best point of a grid is
    taken, and then the root of the slope next to it.
    """
    most = max(float(np.var(y, ddof=1)), float(np.max(v))) * 100
    grid = np.concatenate([[0.0], np.geomspace(most * 1e-12, most, _GRID)])
    parts = np.array_split(grid, max(1, len(grid) * len(y) // _AT_ONCE))
    best = int(np.argmax(np.concatenate([_likelihoods(part, y, v) for part in parts])))
    low, high = grid[max(0, best - 1)], grid[min(_GRID, best + 1)]
    if _slope(low, y, v) <= 0:
        return float(low) if low == 0 else float(grid[best])
    return float(brentq(_slope, low, high, args=(y, v), xtol=1e-300, rtol=1e-14))


def _likelihoods(tau2: np.ndarray, y: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return the logarithm of the restricted likelihood at each of `tau2`, up to a constant."""
    weights = 1 / (v + tau2[:, None])
    total = np.sum(weights, axis=1)
    mean = np.sum(weights * y, axis=1) / total
    squares = np.sum(weights * (y - mean[:, None]) ** 2, axis=1)
    likelihoods: np.ndarray = 0.5 * np.sum(np.log(weights), axis=1) - 0.5 * np.log(total) - 0.5 * squares
    return likelihoods


def _slope(tau2: float, y: np.ndarray, v: np.ndarray) -> float:
    """Return the derivative of that logarithm by tau2."""
    weights = 1 / (v + tau2)
    total = np.sum(weights)
    mean = np.sum(weights * y) / total
    return float(np.sum(weights**2 * (y - mean) ** 2) - total + np.sum(weights**2) / total) / 2


def _typical_variance(v: np.ndarray) -> float:
    """Return the typical variance of one mean: Higgins and Thompson, Statistics in Medicine 21:1539 (2002), eq. 9."""
    weights = 1 / v
    return float((len(v) - 1) * np.sum(weights) / (np.sum(weights) ** 2 - np.sum(weights**2)))


def _units(effects: Sequence[MachineEffect]) -> tuple[Literal["machine", "cpu_model"], list[float], list[float]]:
    """Return what counts once, with the log ratio and the variance of each."""
    models: dict[str, list[MachineEffect]] = {}
    for effect in effects:
        models.setdefault(effect.cpu_model or f"machine {effect.machine}", []).append(effect)
    if not MACHINES_FOR_MEAN <= len(models) < len(effects):
        return "machine", [effect.log_ratio for effect in effects], [effect.variance for effect in effects]
    means = [float(np.mean([one.log_ratio for one in machines])) for machines in models.values()]
    variances = [float(np.sum([one.variance for one in machines])) / len(machines) ** 2 for machines in models.values()]
    return "cpu_model", means, variances


def _few_models(effects: Sequence[MachineEffect]) -> bool:
    models = {effect.cpu_model or f"machine {effect.machine}" for effect in effects}
    return len(models) < min(MACHINES_FOR_MEAN, len(effects))


def _too_few(unit: str, k: int) -> str | None:
    if k >= MACHINES_FOR_MEAN:
        return None
    many: Mapping[int, str] = {0: f"no {unit}", 1: f"1 {unit}"}
    return f"{many.get(k, f'{k} {unit}s')}: each has its own result, a mean over them needs {MACHINES_FOR_MEAN}"
