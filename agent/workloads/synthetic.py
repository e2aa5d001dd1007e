"""Seeded token sequences whose lengths follow a published distribution."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass
from statistics import NormalDist

from joulefleet.study.spec import Lengths, SyntheticItems

SPECIAL_TOKENS = {"single": 2, "pair": 3}
"""Special tokens an item carries ([CLS] a [SEP], [CLS] a [SEP] b [SEP]); every model gets the same lengths."""


@dataclass(frozen=True, slots=True)
class TokenItem:
    """Token ids of one item, and how many of them belong to the first segment."""

    ids: tuple[int, ...]
    first_segment: int


def quantile(table: dict[str, float], percent: float) -> int:
    """The token count at `percent` of a quantile table, linear between its points, rounded."""
    points = sorted((float(key), value) for key, value in table.items())
    at = bisect_right([key for key, _ in points], percent)
    if at >= len(points):
        return round(points[-1][1])
    (low, low_value), (high, high_value) = points[max(0, at - 1)], points[at]
    share = (percent - low) / (high - low)
    return round(low_value + share * (high_value - low_value))


def item_lengths(asked: SyntheticItems, lengths: Lengths, *, pair: bool) -> list[tuple[int, int]]:
    """(first, second) token counts of each item, special tokens not counted; second is 0 for a single text.

    Stratified: item i of n stands at the quantile (i + ½)/n, so that even a short list follows the
    distribution. The second text's lengths are put in an order that has the rank correlation asked for
    (a Gaussian copula), then all items are shuffled by the seed.
    """
    rng = random.Random(f"joulefleet lengths {asked.seed}")
    percents = [100 * (index + 0.5) / asked.count for index in range(asked.count)]
    first = [quantile(lengths.first, percent) for percent in percents]
    second = [0] * asked.count
    if pair and lengths.second is not None:
        rho = lengths.rank_correlation
        scores = [
            rho * NormalDist().inv_cdf(percent / 100) + (1 - rho * rho) ** 0.5 * rng.gauss(0, 1) for percent in percents
        ]
        ranked = sorted(range(asked.count), key=scores.__getitem__)
        for percent, index in zip(percents, ranked, strict=True):
            second[index] = quantile(lengths.second, percent)
    items = list(zip(first, second, strict=True))
    rng.shuffle(items)
    return items


def synthetic_items(
    asked: SyntheticItems, lengths: Lengths, *, pair: bool, max_length: int, vocabulary: int, avoid: Collection[int]
) -> list[TokenItem]:
    """The items as token ids. Two models of one vocabulary get the very same ids.

    Ids are drawn evenly from the upper part of the vocabulary (WordPiece keeps its unused and
    special tokens in the first thousand) and never from `avoid`, the padding token above all.
    """
    rng = random.Random(f"joulefleet tokens {asked.seed}")
    low = min(1000, vocabulary // 2)
    allowed = [index for index in range(low, vocabulary) if index not in avoid]
    special = SPECIAL_TOKENS["pair" if pair else "single"]
    result = []
    for wanted in item_lengths(asked, lengths, pair=pair):
        first, second = wanted
        # Longest first, as tokenizers truncate a pair.
        while first + second + special > max_length:
            first, second = (first - 1, second) if first >= second else (first, second - 1)
        ids = tuple(allowed[int(rng.random() * len(allowed))] for _ in range(first + second + special))
        result.append(TokenItem(ids, first + 2))
    return result
