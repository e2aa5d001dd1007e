"""The shipped tasks: their inputs, labels and metric, and the published lengths of their items.

The lengths are quantiles, in bert-base-uncased WordPieces without special tokens, counted over the
development sets (SST-2: 872 sentences, STS-B: 1,500 pairs, MNLI matched: 9,815 pairs). With the
special tokens their means are 25.16, 31.47 and 39.05 tokens, the figures published in
WoosukKwon/retraining-free-pruning (dataset/glue.py), to every digit. `rank_correlation` is the Spearman
correlation of the two lengths of a pair, over the same sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from joulefleet.study.spec import Lengths

_PERCENT = (0, 1, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 99, 99.9, 100)
_SST2 = (2, 5, 8, 10, 12, 14, 15, 17, 18, 19, 21, 22, 24, 25, 27, 28, 30, 32, 35, 38, 42, 50, 53, 53)
_STSB_1 = (3, 5, 6, 7, 7, 8, 8, 9, 9, 10, 11, 12, 13, 15, 16, 17, 19, 20, 22, 25, 29, 36, 42, 43)
_STSB_2 = (4, 5, 6, 7, 7, 8, 8, 9, 10, 10, 11, 12, 13, 14, 16, 17, 19, 20, 22, 25, 30, 36, 46, 51)
_MNLI_1 = (1, 3, 5, 7, 9, 11, 12, 14, 15, 17, 19, 20, 22, 24, 27, 29, 32, 35, 40, 44, 53, 79, 139, 217)
_MNLI_2 = (1, 4, 5, 7, 7, 8, 9, 9, 10, 10, 11, 11, 12, 13, 13, 14, 15, 16, 17, 18, 21, 28, 40, 54)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPreset:
    """A GLUE task (Wang et al. 2018, doi 10.18653/v1/W18-5446)."""

    inputs: Literal["single", "pair"]
    labels: int
    metric: Literal["accuracy", "pearson"]
    lengths: Lengths


def _quantiles(tokens: tuple[int, ...]) -> dict[str, float]:
    return {str(percent): float(value) for percent, value in zip(_PERCENT, tokens, strict=True)}


TASK_PRESETS: Mapping[str, TaskPreset] = {
    "sst2": TaskPreset(inputs="single", labels=2, metric="accuracy", lengths=Lengths(first=_quantiles(_SST2))),
    "stsb": TaskPreset(
        inputs="pair",
        labels=1,
        metric="pearson",
        lengths=Lengths(first=_quantiles(_STSB_1), second=_quantiles(_STSB_2), rank_correlation=0.84),
    ),
    "mnli": TaskPreset(
        inputs="pair",
        labels=3,
        metric="accuracy",
        lengths=Lengths(first=_quantiles(_MNLI_1), second=_quantiles(_MNLI_2), rank_correlation=0.46),
    ),
}
