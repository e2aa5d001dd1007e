"""Variance components against published examples."""

from __future__ import annotations

import pytest

from joulefleet.stats.variance_components import components

# Davies and Goldsmith, Statistical Methods in Research and Production (1972): yield of dyestuff by batch,
# and strength of pastes, two tests of each of three casks of a batch.
DYESTUFF = {
    "A": [1545, 1440, 1440, 1520, 1580],
    "B": [1540, 1555, 1490, 1560, 1495],
    "C": [1595, 1550, 1605, 1510, 1560],
    "D": [1445, 1440, 1595, 1465, 1545],
    "E": [1595, 1630, 1515, 1635, 1625],
    "F": [1520, 1455, 1450, 1480, 1445],
}
PASTES = {
    "A": [(62.8, 62.6), (60.1, 62.3), (62.7, 63.1)],
    "B": [(60.0, 61.4), (57.5, 56.9), (61.1, 58.9)],
    "C": [(58.7, 57.5), (63.9, 63.1), (65.4, 63.7)],
    "D": [(57.1, 56.4), (56.9, 58.6), (64.7, 64.5)],
    "E": [(55.1, 55.1), (54.7, 54.2), (58.8, 57.5)],
    "F": [(63.4, 64.9), (59.3, 58.1), (60.5, 60.0)],
    "G": [(62.5, 62.6), (61.0, 58.7), (56.9, 57.7)],
    "H": [(59.2, 59.4), (65.2, 66.0), (64.8, 64.1)],
    "I": [(54.8, 54.8), (64.0, 64.0), (57.7, 56.8)],
    "J": [(58.3, 59.3), (59.2, 59.2), (58.9, 56.6)],
}


def test_one_way_as_published() -> None:
    """Batch 1764 and residual 2451: Bates et al., Journal of Statistical Software 67 (2015), by lme4's REML."""
    found = components({"the only model": DYESTUFF})
    assert found.machine == pytest.approx(1764.05, rel=1e-12)
    assert found.block == pytest.approx(2451.25, rel=1e-12)
    assert found.cpu_model is None


def test_nested_as_published() -> None:
    """Standard deviations 1.287, 2.904 and 0.823: Bates, lme4: Mixed-effects modeling with R (2010), chapter 2."""
    found = components({batch: dict(zip("abc", casks, strict=True)) for batch, casks in PASTES.items()})
    assert found.cpu_model is not None
    assert found.machine is not None
    assert found.block is not None
    assert found.cpu_model**0.5 == pytest.approx(1.287, abs=5e-4)
    assert found.machine**0.5 == pytest.approx(2.904, abs=5e-4)
    assert found.block**0.5 == pytest.approx(0.823, abs=5e-4)


def test_what_cannot_be_told_apart_is_none() -> None:
    """One block a machine does not show how blocks differ, and one machine a model not how machines differ."""
    assert components({}).block is None
    assert components({"x": {"m": [0.1], "n": [0.2]}}).block is None
    alone = components({"x": {"m": [0.1, 0.2]}, "y": {"n": [0.2, 0.4]}})
    assert (alone.cpu_model, alone.machine) == (None, None)
    assert alone.block == pytest.approx(0.0125)


def test_below_zero_is_zero() -> None:
    """Machines with equal means and noisy blocks would have a negative variance between machines."""
    assert components({"x": {"m": [0.0, 1.0], "n": [1.0, 0.0]}}).machine == 0
