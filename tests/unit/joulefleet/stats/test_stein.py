"""The estimate after pilot blocks have fixed how many blocks there are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from joulefleet.stats.paired import paired_ratio
from joulefleet.stats.stein import two_stage_ratio

RNG = np.random.default_rng(7)
REFERENCE = np.exp(RNG.normal(0, 0.1, 25)).tolist()
OTHER = [value * math.exp(RNG.normal(-0.7, 0.05)) for value in REFERENCE]


def test_the_variance_is_the_pilots_and_the_mean_is_of_all() -> None:
    """The result is that of a calculation by hand with scipy's t distribution."""
    logs = np.log(OTHER) - np.log(REFERENCE)
    error = float(np.std(logs[:10], ddof=1)) / math.sqrt(25)
    margin = float(stats.t.ppf(0.975, 9)) * error
    found = two_stage_ratio(REFERENCE, OTHER, pilot=10)
    assert found.ratio == pytest.approx(math.exp(logs.mean()), rel=1e-12)
    assert (found.low, found.high) == pytest.approx(
        (math.exp(logs.mean() - margin), math.exp(logs.mean() + margin)), rel=1e-12
    )
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(logs.mean()) / error, 9), rel=1e-9)
    assert (found.degrees, found.n_blocks) == (9, 25)


def test_without_a_second_stage_it_is_the_paired_procedure() -> None:
    """Without further blocks both procedures are the same."""
    assert two_stage_ratio(REFERENCE[:10], OTHER[:10], pilot=10) == paired_ratio(REFERENCE[:10], OTHER[:10])


def test_pilot_blocks_that_do_not_differ_give_no_interval() -> None:
    """The variance of the other blocks is not used in place of theirs."""
    found = two_stage_ratio([1.0] * 12, [0.5] * 10 + [0.6, 0.7], pilot=10)
    assert found.ratio is not None
    assert (found.low, found.error, found.p_value) == (None, None, None)
    assert "pilot" in (found.interval_reason or "")
    nearly = [1.0 + number / 10 for number in range(10)]
    rounded = two_stage_ratio([*nearly, 1.0, 1.0], [*(0.7 * value for value in nearly), 0.6, 0.8], pilot=10)
    assert (rounded.low, rounded.p_value) == (None, None)


def test_an_unfinished_study_has_no_p_value() -> None:
    """As in the paired procedure, the interval stays."""
    found = two_stage_ratio(REFERENCE, OTHER, pilot=10, finished=False)
    assert found.low is not None
    assert found.p_value is None
