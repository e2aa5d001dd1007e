"""The mixed model over machines against published fits, closed forms and the likelihood itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from joulefleet.stats import MachineEffect, pool
from joulefleet.stats.mixed_model import Fit, _no_result, fit, mixed_model
from tests.unit.joulefleet.stats.test_variance_components import DYESTUFF, PASTES

MACHINES = 12


def fleet(
    between: float, blocks: Sequence[int], *, noise: float = 0.05, seed: int = 1
) -> dict[str, dict[str, list[float]]]:
    """Return the log ratios of machines with these numbers of blocks, each machine of a CPU model of its own."""
    rng = np.random.default_rng(seed)
    return {
        f"cpu {machine}": {f"m{machine}": list(rng.normal(-0.6 + rng.normal(0, between), noise, count))}
        for machine, count in enumerate(blocks)
    }


def test_one_level_as_published() -> None:
    """Dyestuff, 1527.50 with error 19.38, 42.00 and 49.51: Bates, lme4: Mixed-effects modeling with R (2010), 1.3."""
    found = fit([[np.array(blocks, dtype=float)] for blocks in DYESTUFF.values()])
    assert found is not None
    assert found.converged
    assert found.mean == pytest.approx(1527.5, rel=1e-12)
    assert found.error == pytest.approx(19.38341, rel=1e-6)
    # The mean squares' estimates, which restricted maximum likelihood gives with equal numbers.
    assert found.outer**2 == pytest.approx(1764.05, rel=1e-10)
    assert found.block**2 == pytest.approx(2451.25, rel=1e-10)
    assert found.machine is None


def test_two_levels_as_published() -> None:
    """Pastes, 60.0533 with error 0.6769; 1.2874, 2.9041 and 0.8234: the same, chapter 2."""
    found = mixed_model({batch: dict(zip("abc", casks, strict=True)) for batch, casks in PASTES.items()})
    assert (found.unit, found.units, found.machines, found.blocks) == ("cpu_model", 10, 30, 60)
    assert found.ratio is not None
    assert found.low is not None
    assert math.log(found.ratio) == pytest.approx(60.0533, abs=5e-5)
    # 2.262157 is the 97.5 % quantile of t(9) in any table.
    assert math.log(found.ratio) - math.log(found.low) == pytest.approx(2.262157 * 0.6769, abs=2e-4)
    assert found.tau_cpu_model == pytest.approx(1.2874, abs=5e-5)
    assert found.tau == pytest.approx(2.9041, abs=5e-5)


def test_equal_blocks_give_the_unweighted_mean_and_its_interval() -> None:
    """The result is that of `pool` from the machines' means, and tau that of the mean squares."""
    for between, blocks, seed in ((0.02, 5, 1), (0.1, 10, 2), (1.0, 30, 3), (30.0, 2, 4)):
        logs = fleet(between, [blocks] * MACHINES, seed=seed)
        found = mixed_model(logs)
        rows = [np.array(row) for of in logs.values() for row in of.values()]
        reference = pool(
            [
                MachineEffect(machine=f"{n}", cpu_model=None, log_ratio=float(row.mean()), variance=0.01)
                for n, row in enumerate(rows)
            ]
        )
        assert (found.unit, found.units, found.reason) == ("machine", MACHINES, None)
        assert found.ratio == pytest.approx(reference.ratio, rel=1e-9)
        assert found.low == pytest.approx(reference.low, rel=1e-8)
        assert found.high == pytest.approx(reference.high, rel=1e-8)
        of_means = np.var([row.mean() for row in rows], ddof=1)
        assert found.tau is not None
        assert found.tau**2 == pytest.approx(of_means - np.mean([row.var(ddof=1) for row in rows]) / blocks, rel=1e-6)


def test_equal_machines_of_equal_models_give_the_unweighted_mean_of_models() -> None:
    """The result is that of `pool`, which counts each CPU model once."""
    rng = np.random.default_rng(5)
    logs: dict[str, dict[str, list[float]]] = {}
    for cpu in range(6):
        level = rng.normal(0, 0.2)
        logs[f"cpu {cpu}"] = {f"m{cpu}{n}": list(level + rng.normal(0, 0.05) + rng.normal(0, 0.03, 4)) for n in "ab"}
    reference = pool(
        [
            MachineEffect(machine=machine, cpu_model=cpu, log_ratio=float(np.mean(row)), variance=0.01)
            for cpu, of in logs.items()
            for machine, row in of.items()
        ]
    )
    found = mixed_model(logs)
    assert found.unit == reference.unit == "cpu_model"
    assert found.ratio == pytest.approx(reference.ratio, rel=1e-12)
    assert found.low == pytest.approx(reference.low, rel=1e-7)
    assert found.high == pytest.approx(reference.high, rel=1e-7)


@pytest.mark.parametrize("between", [0.02, 0.1, 2.0])
def test_unequal_blocks_give_the_optimum_of_the_restricted_likelihood(between: float) -> None:
    """The maximum is found from the full covariance of all blocks, without the formulas of statsmodels."""
    counts = [2, 3, 5, 8, 13, 21, 2, 4, 9, 30, 7, 6]
    rows = [np.array(row) for of in fleet(between, counts, seed=7).values() for row in of.values()]
    y = np.concatenate(rows)
    of_machine = np.repeat(np.eye(MACHINES), counts, axis=0)
    ones = np.ones((len(y), 1))

    def inverse(log_part: float) -> np.ndarray:
        return np.linalg.inv(np.eye(len(y)) + math.exp(log_part) * of_machine @ of_machine.T)

    def lost(log_part: float) -> float:
        v = inverse(log_part)
        residual = y - float((ones.T @ v @ y)[0] / (ones.T @ v @ ones)[0, 0])
        return float(
            -np.linalg.slogdet(v)[1]
            + math.log((ones.T @ v @ ones)[0, 0])
            + (len(y) - 1) * math.log(residual @ v @ residual)
        )

    best = minimize_scalar(lost, bounds=(-8.0, 12.0), method="bounded", options={"xatol": 1e-10}).x
    v = inverse(best)
    weight = float((ones.T @ v @ ones)[0, 0])
    mean = float((ones.T @ v @ y)[0]) / weight
    block2 = float((y - mean) @ v @ (y - mean)) / (len(y) - 1)
    found = fit([[row] for row in rows])
    assert found is not None
    assert found.mean == pytest.approx(mean, rel=1e-7)
    assert found.block**2 == pytest.approx(block2, rel=1e-6)
    assert found.outer**2 == pytest.approx(math.exp(best) * block2, rel=2e-6)
    assert found.error == pytest.approx(math.sqrt(block2 / weight), rel=1e-6)


def test_machines_alike_are_singular_and_give_no_result() -> None:
    """Their variance is estimated as 0, and an interval from it would be too narrow."""
    singular = 0
    for seed in range(12):
        logs = fleet(0.0, [8] * MACHINES, seed=seed)
        rows = [np.array(row) for of in logs.values() for row in of.values()]
        squares = np.var([row.mean() for row in rows], ddof=1) - np.mean([row.var(ddof=1) for row in rows]) / 8
        found = mixed_model(logs)
        assert (found.reason is not None) == (squares < 0)
        if found.reason:
            singular += 1
            assert found.reason == "singular: machines differ no more than the noise within them explains"
            assert (found.ratio, found.low, found.high, found.tau) == (None, None, None, None)
    assert singular > 2


def test_what_cannot_be_fitted_says_why() -> None:
    """It needs ten machines, several blocks of one machine, and blocks that differ."""
    few = mixed_model(fleet(0.1, [5] * 9))
    assert (few.ratio, few.reason) == (None, "9 machines: a mixed model needs 10")
    assert mixed_model({}).reason == "0 machines: a mixed model needs 10"
    single = mixed_model(fleet(0.1, [1] * MACHINES))
    assert str(single.reason).startswith("one block a machine")
    same = mixed_model(fleet(0.1, [5] * MACHINES, noise=0.0))
    assert same.reason == "zero variance: the blocks of each machine have the same ratio"


def test_a_fit_that_did_not_converge_gives_no_result() -> None:
    """The values of the fit do not matter then."""
    found = Fit(mean=0.0, error=0.1, outer=0.1, machine=None, block=0.1, converged=False)
    assert _no_result(found) == _no_result(None) == "the fit did not converge"
    assert _no_result(replace(found, converged=True)) is None
    nested = _no_result(replace(found, machine=1e-5, converged=True))
    assert nested == "singular: machines of one CPU model differ no more than their blocks' noise explains"


def test_machines_without_blocks_do_not_count() -> None:
    """A CPU model whose machines all have none does not count either."""
    logs = fleet(0.1, [5] * MACHINES)
    plain, more = mixed_model(logs), mixed_model({**logs, "none": {"m": []}})
    assert plain == more
    assert plain.machines == MACHINES
