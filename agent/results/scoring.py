"""The quality of the work's answers: a score of its predictions against the labels, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import correlation
from typing import Any

from joulefleet.plan.trial import Protocol


def quality(protocol: Protocol, facts: Mapping[str, Any]) -> tuple[float | None, str | None]:
    """Return the score of the answers in `facts`, or None and the reason why there is no score.

    `facts` are those that the work sent with its marks. Raises KeyError, TypeError and ValueError where they
    are not of the expected form.
    """
    metric = protocol.task.metric
    if metric is None:
        return None, "the task names no metric"
    if protocol.model.weights_source == "seeded":
        return None, "the weights are seeded, so the answers mean nothing"
    if protocol.model.head == "seeded":
        return None, "the head is seeded, so the answers mean nothing"
    if facts.get("labels_problem"):
        return None, str(facts["labels_problem"])
    if facts.get("labels") is None:
        return None, "the items have no labels"
    value = score(metric, [float(value) for value in facts["predictions"]], [float(value) for value in facts["labels"]])
    return value, None if value is not None else f"{metric} is not defined for these answers"


def score(metric: str, predictions: Sequence[float], labels: Sequence[float]) -> float | None:
    """Return the accuracy (share of equal classes) or Pearson's r; None where it is not defined.

    Raises ValueError for another metric, or for lists of unequal length.
    """
    if len(predictions) != len(labels):
        raise ValueError(f"{len(predictions)} predictions for {len(labels)} labels")
    if not predictions or not all(map(math.isfinite, [*predictions, *labels])):
        return None
    if metric == "accuracy":
        return sum(p == y for p, y in zip(predictions, labels, strict=True)) / len(labels)
    if metric == "pearson":
        if len(set(predictions)) < 2 or len(set(labels)) < 2:
            return None
        return correlation(predictions, labels)
    raise ValueError(f"no metric is named {metric!r}")
