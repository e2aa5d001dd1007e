"""The ratio over machines against published output and closed forms."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize_scalar

from joulefleet.stats.meta_analysis import (
    MachineEffect,
    on_every_machine,
    pool,
    random_effects,
    reml_tau2,
)

# Thirteen trials of a vaccine (Colditz et al., JAMA 271:698, 1994): cases and others, treated and control.
TREATED = [(4, 119), (6, 300), (3, 228), (62, 13536), (33, 5036), (180, 1361), (8, 2537), (505, 87886)]
TREATED += [(29, 7470), (17, 1699), (186, 50448), (5, 2493), (27, 16886)]
CONTROL = [(11, 128), (29, 274), (11, 209), (248, 12619), (47, 5761), (372, 1079), (10, 619), (499, 87892)]
CONTROL += [(45, 7232), (65, 1600), (141, 27197), (3, 2338), (29, 17825)]
LOG_RATIOS = [math.log(a / (a + b)) - math.log(c / (c + d)) for (a, b), (c, d) in zip(TREATED, CONTROL, strict=True)]
VARIANCES = [1 / a - 1 / (a + b) + 1 / c - 1 / (c + d) for (a, b), (c, d) in zip(TREATED, CONTROL, strict=True)]


def effects(log_ratios: Sequence[float], models: Sequence[str] | None = None) -> list[MachineEffect]:
    """Return a machine for each log ratio, all equally precise."""
    return [
        MachineEffect(machine=f"m{n}", cpu_model=models[n] if models else None, log_ratio=value, variance=1e-4)
        for n, value in enumerate(log_ratios)
    ]


def test_random_effects_as_metafor_prints_them() -> None:
    """`rma(yi, vi, data=dat, test="knha")`: Viechtbauer, Journal of Statistical Software 36:3 (2010).

    tau^2 0.3132, I^2 92.22 %, estimate -0.7145, interval -1.1084 to -0.3206. There the factor is above 1,
    so the modified interval is the same.
    """
    found = random_effects(LOG_RATIOS, VARIANCES)
    assert found.tau**2 == pytest.approx(0.3132, abs=5e-5)
    assert found.i_squared == pytest.approx(0.9222, abs=5e-5)
    assert math.log(found.ratio) == pytest.approx(-0.7145, abs=5e-5)
    assert math.log(found.low) == pytest.approx(-1.1084, abs=5e-5)
    assert math.log(found.high) == pytest.approx(-0.3206, abs=5e-5)


def test_the_variance_between_machines_is_where_the_likelihood_is_largest() -> None:
    """The likelihood of the normal model is computed from its full covariance, without the formula under test."""
    y, v = np.array(LOG_RATIOS), np.array(VARIANCES)
    ones = np.ones((len(y), 1))

    def lost(tau2: float) -> float:
        inverse = np.linalg.inv(np.diag(v + tau2))
        left = inverse - inverse @ ones @ np.linalg.inv(ones.T @ inverse @ ones) @ ones.T @ inverse
        determinants = np.linalg.slogdet(np.diag(v + tau2))[1] + np.linalg.slogdet(ones.T @ inverse @ ones)[1]
        return float(0.5 * determinants + 0.5 * y @ left @ y)

    found = minimize_scalar(lost, bounds=(0, 2), method="bounded", options={"xatol": 1e-12})
    assert lost(reml_tau2(y, v)) <= found.fun + 1e-12
    assert reml_tau2(y, v) == pytest.approx(found.x, rel=1e-5)


@pytest.mark.parametrize(("spread", "noise"), [(0.3, 0.01), (0.3, 0.5), (1e-6, 1e-14), (3.0, 1e-9)])
def test_with_equal_variances_it_has_a_closed_form(spread: float, noise: float) -> None:
    """It is the sample variance less the noise, at least 0; the interval is that of the unweighted mean, or wider."""
    y = np.array([-0.4, 0.1, 0.9, -1.2, 0.6]) * spread
    v = np.full(5, noise)
    between = max(0.0, float(np.var(y, ddof=1)) - noise)
    assert reml_tau2(y, v) == pytest.approx(between, rel=1e-8, abs=1e-30)
    found = random_effects(list(y), list(v))
    error2 = max(float(np.var(y, ddof=1)), noise) / 5
    margin = stats.t.ppf(0.975, 4) * math.sqrt(error2)
    assert math.log(found.high) - math.log(found.ratio) == pytest.approx(margin, rel=1e-8)
    assert found.prediction_high is not None
    predicted = stats.t.ppf(0.975, 3) * math.sqrt(between + error2)
    assert math.log(found.prediction_high) - math.log(found.ratio) == pytest.approx(predicted, rel=1e-8)


def test_the_mean_over_machines_is_a_t_interval() -> None:
    """Interval and p-value are those of scipy."""
    logs = [-0.5, -0.6, -0.55, -0.7]
    found = pool(effects(logs))
    reference = stats.ttest_1samp(logs, 0.0)
    interval = reference.confidence_interval()
    assert (found.unit, found.units) == ("machine", 4)
    assert found.ratio == pytest.approx(math.exp(np.mean(logs)), rel=1e-12)
    assert found.low == pytest.approx(math.exp(interval.low), rel=1e-8)
    assert found.high == pytest.approx(math.exp(interval.high), rel=1e-8)
    assert found.p_value == pytest.approx(reference.pvalue, rel=1e-8)


def test_machines_of_one_model_are_no_replicates() -> None:
    """Ten machines of one model and one of each of two others count as three, not as twelve."""
    logs = [-0.5] * 10 + [-0.1, -0.9]
    found = pool(effects(logs, ["a"] * 10 + ["b", "c"]))
    assert (found.unit, found.units, found.machines) == ("cpu_model", 3, 12)
    assert found.ratio == pytest.approx(math.exp(-0.5))


def test_two_machines_have_no_mean() -> None:
    """Two CPU models have no mean over models either: there the machines count."""
    found = pool(effects([-0.5, -0.6]))
    assert (found.ratio, found.check) == (None, None)
    assert found.reason == "2 machines: each has its own result, a mean over them needs 3"
    assert pool(effects([-0.5, -0.6, -0.4], ["a", "a", "b"])).unit == "machine"
    assert pool(effects([-0.5, -0.6, -0.4])).check is not None
    few = pool(effects([-0.5, -0.6, -0.4])).check
    assert few is not None
    assert few.prediction_reason == "3 machines: a prediction interval needs 5"


def test_on_every_machine_is_every_machine_on_one_side() -> None:
    """Where one machine has no interval the answer is unknown."""
    assert on_every_machine([(0.4, 0.6), (0.5, 0.99)]) is True
    assert on_every_machine([(0.4, 0.6), (0.5, 1.01)]) is False
    assert on_every_machine([(0.4, 0.6), (1.1, 1.2)]) is False
    assert on_every_machine([(0.4, 0.6), (None, None)]) is None
    assert on_every_machine([]) is None
