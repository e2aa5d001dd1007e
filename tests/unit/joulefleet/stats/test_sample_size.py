"""Sample sizes by simulation and by their definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from joulefleet.stats.sample_size import size, stein_blocks, stein_interval


def test_steins_two_stages_cover_whatever_the_variance() -> None:
    """Of 20,000 studies 95 % cover the truth, within three standard errors, and no interval is wider than requested."""
    rng = np.random.default_rng(1945)
    for sigma in (0.02, 0.1, 0.3):
        studies, pilots = 20_000, 10
        first = rng.normal(0.0, sigma, (studies, pilots))
        variances = first.var(axis=1, ddof=1)
        covered = 0
        for row, variance in zip(first, variances, strict=True):
            blocks = stein_blocks(float(variance), pilots, factor=1.05)
            # The mean of the further blocks at once: only their sum is needed.
            rest = rng.normal(0.0, sigma * math.sqrt(blocks - pilots)) if blocks > pilots else 0.0
            low, high = stein_interval((float(row.sum()) + rest) / blocks, float(variance), pilots, blocks)
            covered += low <= 1.0 <= high
            assert high / low <= 1.05**2 * (1 + 1e-12)
        assert covered / studies >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / studies)
    with pytest.raises(ValueError, match="10 blocks or more"):
        stein_blocks(0.1, 9, factor=1.05)


def test_a_size_is_the_smallest_that_is_enough() -> None:
    """One machine depends on its blocks; several also on how they differ, so that no number may be enough."""
    one = size(0.0, 0.01, 1, factor=1.05)
    assert one.blocks is not None
    assert one.factor is not None

    def half(blocks: int) -> float:
        return float(stats.t.ppf(0.975, blocks - 1) * math.sqrt(0.01 / blocks))

    assert half(one.blocks) <= math.log(1.05) < half(one.blocks - 1)
    assert one.factor == pytest.approx(math.exp(half(one.blocks)))
    assert size(0.04, 0.01, 5, factor=1.05).blocks is None
    assert size(0.0, 0.01, 30, factor=1.5).blocks == 2
    with pytest.raises(ValueError, match="two"):
        size(0.0, 0.01, 2, factor=1.05)
    with pytest.raises(ValueError, match="factor"):
        size(0.0, 0.01, 3, factor=1.0)
