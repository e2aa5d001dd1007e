"""Scores."""

from __future__ import annotations

import pytest

from agent.results.scoring import score


def test_accuracy_is_the_share_of_equal_classes() -> None:
    """Three of four are right."""
    assert score("accuracy", [0, 1, 1, 2], [0, 1, 0, 2]) == 0.75


def test_pearson_is_one_for_a_line() -> None:
    """A linear relation has r = 1, and its inverse r = -1."""
    assert score("pearson", [1, 2, 3], [10, 20, 30]) == pytest.approx(1.0)
    assert score("pearson", [1, 2, 3], [3, 2, 1]) == pytest.approx(-1.0)


@pytest.mark.parametrize("predictions", [[1.0, 1.0, 1.0], [float("nan"), 1.0, 2.0]])
def test_pearson_of_constant_or_broken_answers_is_not_defined(predictions: list[float]) -> None:
    """No number is invented where there is none."""
    assert score("pearson", predictions, [1.0, 2.0, 3.0]) is None


def test_lists_of_unequal_length_are_refused() -> None:
    """A prediction too few is a bug, not a score."""
    with pytest.raises(ValueError, match="1 predictions for 2 labels"):
        score("accuracy", [1.0], [1.0, 0.0])
