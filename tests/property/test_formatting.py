"""The laws of numbers as text: a table, a sentence and a caveat show one ratio with the same digits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coordinator.cli.render.comparison import comparison_lines
from joulefleet.compare.conclusions import sentence_of
from joulefleet.compare.formatting import percent_text, ratio_text, value_text
from tests.support.comparison_records import comparison, comparison_of_metric, estimate, finding_of

ratios = st.floats(1e-3, 1e3) | st.floats(0.9, 1.1)
values = st.floats(1e-12, 1e12)


@given(st.lists(ratios, min_size=3, max_size=3))
def test_table_and_sentence_agree_in_digits(limits: list[float]) -> None:
    """One formatter serves both; two that rounded differently printed 1.00 in one and 1.003 in the other."""
    low, ratio, high = sorted(limits)
    shown = estimate(ratio, low, high)
    sentence = sentence_of(finding_of(shown))
    row = next(
        line
        for line in comparison_lines(comparison(per_machine=(comparison_of_metric(shown),)))
        if "time per item" in line
    )
    in_sentence = sentence.removeprefix("On sst2, small needs ").split(" of big's")[0]
    assert " ".join(row.split("ms")[-1].split()[:3]) == in_sentence


@given(ratios)
def test_a_ratio_as_text_is_near_the_ratio(ratio: float) -> None:
    """Within half of the last of three digits, and never with an exponent from a thousandth to a thousand."""
    text = ratio_text(ratio)
    assert "e" not in text
    assert abs(float(text) - ratio) <= 0.0051 * ratio


@given(ratios, ratios)
def test_a_larger_ratio_has_no_smaller_text(first: float, second: float) -> None:
    """Also across the limits between the two kinds of rounding."""
    low, high = sorted((first, second))
    assert float(ratio_text(low)) <= float(ratio_text(high))


@given(values)
def test_a_value_as_text_has_three_significant_digits(value: float) -> None:
    """Read again, it is within half of the third digit."""
    assert abs(float(value_text(value)) - value) <= 0.0051 * value


@given(st.floats(1e-4, 1e4))
def test_per_cent_is_never_written_with_an_exponent(fraction: float) -> None:
    """120 % is not 1.2e+02 %."""
    text = percent_text(fraction)
    assert text.endswith(" %")
    assert "e+" not in text
