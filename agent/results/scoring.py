"""Scores of predictions against labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import correlation


def score(metric: str, predictions: Sequence[float], labels: Sequence[float]) -> float | None:
    """Accuracy (share of equal classes) or Pearson's r; None where it is not defined.

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
