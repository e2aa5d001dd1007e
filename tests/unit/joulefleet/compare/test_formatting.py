"""Numbers as text."""

from __future__ import annotations

import math

import pytest

from joulefleet.compare.formatting import (
    basis_text,
    deviation_text,
    estimate_text,
    interval_text,
    p_text,
    percent_text,
    quantity_texts,
    ratio_text,
    short_title,
    value_text,
)
from joulefleet.compare.metrics import Basis
from tests.support.comparison_records import MODELLED, PACKAGE, estimate


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (1.00345, "1.003"),
        (0.5, "0.500"),
        (3.0, "3.000"),
        (0.0123, "0.0123"),
        (9.99949, "9.999"),
        (9.9996, "10.0"),
        (0.09951, "0.100"),
        (1234.5, "1234"),
        (math.inf, "inf"),
    ],
)
def test_a_ratio_has_three_decimals_around_one(ratio: float, text: str) -> None:
    """Below 0.1 and from 10 on it has three significant digits."""
    assert ratio_text(ratio) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1.00345, "1.00"),
        (196.2, "196"),
        (14.157, "14.2"),
        (-1.3774, "-1.38"),
        (2e-5, "2e-05"),
        (123456, "123456"),
    ],
)
def test_a_value_has_three_significant_digits(value: float, text: str) -> None:
    """Only very small and very large values have an exponent."""
    assert value_text(value) == text


def test_an_estimate_is_shown_with_its_interval_where_it_has_one() -> None:
    """A dash stands for no ratio."""
    assert estimate_text(estimate(0.41668, 0.20045, 0.86619)) == "0.417 [0.200, 0.866]"
    assert estimate_text(estimate(0.41668)) == "0.417"
    assert estimate_text(estimate(None)) == "–"
    assert interval_text(0.5, None) is None


def test_per_cent_has_no_exponent() -> None:
    """More than 100 % is rounded to a whole number."""
    assert percent_text(0.05, digits=3) == "5 %"
    assert percent_text(1.234) == "123 %"
    assert percent_text(0.0123) == "1.2 %"


def test_a_deviation_is_that_of_the_ratio_and_not_of_its_logarithm() -> None:
    """The variance that is given is that of the logarithm."""
    assert deviation_text(math.log(1.1) ** 2) == "10 %"


def test_a_tiny_p_value_is_only_bounded() -> None:
    """The digits of a p-value far in the tail mean nothing."""
    assert p_text(0.0123) == "p = 0.012"
    assert p_text(9.9e-5) == "p < 0.0001"


def test_quantities_share_the_prefix_of_the_largest() -> None:
    """The two values of a row are easier to compare in one unit."""
    assert quantity_texts([0.014157, 0.0069464], "J") == ["14.2 mJ", "6.95 mJ"]
    assert quantity_texts([1.25, 0.61], "s") == ["1.25 s", "0.610 s"]
    assert quantity_texts([40.7e6, None], "B") == ["40.7 MB", None]
    assert quantity_texts([196.2, 50.0], "%") == ["196 %", "50.0 %"]
    assert quantity_texts([0.417], "") == ["0.417"]
    assert quantity_texts([0.0], "J") == ["0 J"]


def test_energy_is_qualified_by_scope_and_provenance() -> None:
    """Measured energy is qualified by its scope only."""
    assert basis_text(PACKAGE) == "package"
    assert basis_text(MODELLED) == "modelled"
    assert basis_text(Basis(provenance="simulated", scope="package+dram", source=None)) == "package+dram simulated"
    assert basis_text(None) == ""
    assert short_title("CPU use (100 % = one core)") == "CPU use"
