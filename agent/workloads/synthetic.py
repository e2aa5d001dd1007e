"""Seeded token sequences whose lengths follow a published distribution."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass
from statistics import NormalDist

from joulefleet.study.spec import Lengths, SyntheticItems

SPECIAL_TOKENS = {"single": 2, "pair": 3}
"""Number of special tokens of an item ([CLS] a [SEP], [CLS] a [SEP] b [SEP]), the same for every model."""


@dataclass(frozen=True, slots=True)
class TokenItem:
    """Token ids of one item, and the number of those that belong to the first segment."""

    ids: tuple[int, ...]
    first_segment: int


def quantile(table: dict[str, float], percent: float) -> int:
    """Return the token count at `percent` of a quantile table, linear between its points, rounded."""
    points = sorted((float(key), value) for key, value in table.items())
    at = bisect_right([key for key, _ in points], percent)
    if at >= len(points):
        return round(points[-1][1])
    (low, low_value), (high, high_value) = points[max(0, at - 1)], points[at]
    share = (percent - low) / (high - low)
    return round(low_value + share * (high_value - low_value))


def item_lengths(requested: SyntheticItems, lengths: Lengths, *, pair: bool) -> list[tuple[int, int]]:
    """Return the (first, second) token counts of each item without special tokens; second is 0 for a single text.

    The lengths are stratified: item i of n has the length at the quantile (i + ½)/n, so that even a short list
    follows the distribution. The second lengths are ordered to have the requested rank correlation with the
    first ones (a Gaussian copula), then all items are shuffled by the seed.
    """
    rng = random.Random(f"joulefleet lengths {requested.seed}")
    percents = [100 * (index + 0.5) / requested.count for index in range(requested.count)]
    first = [quantile(lengths.first, percent) for percent in percents]
    second = [0] * requested.count
    if pair and lengths.second is not None:
        rho = lengths.rank_correlation
        scores = [
            rho * NormalDist().inv_cdf(percent / 100) + (1 - rho * rho) ** 0.5 * rng.gauss(0, 1) for percent in percents
        ]
        ranked = sorted(range(requested.count), key=scores.__getitem__)
        for percent, index in zip(percents, ranked, strict=True):
            second[index] = quantile(lengths.second, percent)
    items = list(zip(first, second, strict=True))
    rng.shuffle(items)
    return items


def synthetic_items(
    requested: SyntheticItems, lengths: Lengths, *, pair: bool, max_length: int, vocabulary: int, avoid: Collection[int]
) -> list[TokenItem]:
    """Return the items as token ids. Two models of one vocabulary get the same ids.

    Ids are drawn uniformly from the vocabulary without its first thousand (where WordPiece has its unused and
    special tokens) and without `avoid`, which must contain the padding token.
    """
    rng = random.Random(f"joulefleet tokens {requested.seed}")
    low = min(1000, vocabulary // 2)
    allowed = [index for index in range(low, vocabulary) if index not in avoid]
    special = SPECIAL_TOKENS["pair" if pair else "single"]
    result = []
    for first_length, second_length in item_lengths(requested, lengths, pair=pair):
        first, second = first_length, second_length
        # Tokenizers truncate the longer text of a pair first.
        while first + second + special > max_length:
            first, second = (first - 1, second) if first >= second else (first, second - 1)
        ids = tuple(allowed[int(rng.random() * len(allowed))] for _ in range(first + second + special))
        result.append(TokenItem(ids, first + 2))
    return result
