"""Scores of answers, and the reasons why there is none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.results.scoring import quality, score
from joulefleet.plan.trial import Protocol
from tests.support.tiny_trials import tiny_trial


def trained(**changes: object) -> Protocol:
    """Return the protocol of a trained model with its own head; `changes` are fields of the model."""
    protocol = tiny_trial().protocol
    model = replace(protocol.model, **({"architecture": None, "path": "/models/x", "head": "own"} | changes))  # type: ignore[arg-type]  # as above
    return replace(protocol, model=model, task=replace(protocol.task, metric="accuracy"))


FACTS = {"labels": [0, 1, 1], "predictions": [0, 1, 0], "labels_problem": None}


def test_accuracy_is_the_share_of_equal_classes() -> None:
    """Three of four are right."""
    assert score("accuracy", [0, 1, 1, 2], [0, 1, 0, 2]) == 0.75


def test_pearson_is_one_for_a_line() -> None:
    """A linear relation has r = 1, and its inverse r = -1."""
    assert score("pearson", [1, 2, 3], [10, 20, 30]) == pytest.approx(1.0)
    assert score("pearson", [1, 2, 3], [3, 2, 1]) == pytest.approx(-1.0)


@pytest.mark.parametrize("predictions", [[1.0, 1.0, 1.0], [float("nan"), 1.0, 2.0]])
def test_pearson_of_constant_or_broken_answers_is_not_defined(predictions: list[float]) -> None:
    """No number is invented."""
    assert score("pearson", predictions, [1.0, 2.0, 3.0]) is None


def test_lists_of_unequal_length_are_refused() -> None:
    """A missing prediction is a bug, not a score."""
    with pytest.raises(ValueError, match="1 predictions for 2 labels"):
        score("accuracy", [1.0], [1.0, 0.0])


def test_the_answers_of_a_trained_model_are_scored() -> None:
    """Weights and head are the user's own, so the answers mean something."""
    assert quality(trained(), FACTS) == (2 / 3, None)


def test_random_weights_or_a_random_head_have_no_quality() -> None:
    """Their answers mean nothing, however they score."""
    assert quality(tiny_trial().protocol, FACTS) == (None, "the weights are seeded, so the answers mean nothing")
    assert quality(trained(head="seeded"), FACTS) == (None, "the head is seeded, so the answers mean nothing")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"labels": None}, "the items have no labels"),
        ({"labels": None, "labels_problem": "the model knows no label 'x'"}, "the model knows no label 'x'"),
        ({"predictions": [0, 1, float("nan")]}, "accuracy is not defined for these answers"),
    ],
)
def test_a_missing_score_has_its_reason(facts: dict[str, object], reason: str) -> None:
    """The row's `quality_reason` says why `quality` is null."""
    assert quality(trained(), FACTS | facts) == (None, reason)


def test_a_task_without_a_metric_has_no_quality() -> None:
    """No metric is assumed."""
    protocol = trained()
    assert quality(replace(protocol, task=replace(protocol.task, metric=None)), FACTS)[1] == "the task names no metric"
