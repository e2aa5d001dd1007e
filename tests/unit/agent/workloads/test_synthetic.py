"""Seeded items whose lengths follow a published distribution."""

from __future__ import annotations

import statistics

import pytest
from scipy.stats import spearmanr

from agent.workloads.synthetic import SPECIAL_TOKENS, item_lengths, quantile, synthetic_items
from joulefleet.study.presets import TASK_PRESETS
from joulefleet.study.spec import Lengths, SyntheticItems


@pytest.mark.parametrize(("task", "published_mean"), [("sst2", 25.16), ("stsb", 31.47), ("mnli", 39.05)])
def test_lengths_have_the_published_mean(task: str, published_mean: float) -> None:
    """The mean of a long list is within 2 % of the task's published mean."""
    preset = TASK_PRESETS[task]
    lengths = item_lengths(SyntheticItems(count=5000), preset.lengths, pair=preset.inputs == "pair")
    mean = statistics.fmean(first + second for first, second in lengths) + SPECIAL_TOKENS[preset.inputs]
    assert mean == pytest.approx(published_mean, rel=0.02)


@pytest.mark.parametrize("task", ["stsb", "mnli"])
def test_lengths_of_a_pair_have_their_rank_correlation(task: str) -> None:
    """Long premises have long hypotheses as often as in the task."""
    lengths = item_lengths(SyntheticItems(count=4000), TASK_PRESETS[task].lengths, pair=True)
    firsts, seconds = zip(*lengths, strict=True)
    found = spearmanr(firsts, seconds).statistic
    assert found == pytest.approx(TASK_PRESETS[task].lengths.rank_correlation, abs=0.06)


def test_a_short_list_is_stratified() -> None:
    """Even sixteen items cover the whole distribution: their median is the task's."""
    lengths = sorted(
        first for first, _ in item_lengths(SyntheticItems(count=16), TASK_PRESETS["sst2"].lengths, pair=False)
    )
    assert lengths[0] < 10
    assert lengths[-1] > 40
    assert statistics.median(lengths) == pytest.approx(22, abs=2)


def test_quantiles_are_linear_between_their_points() -> None:
    """Halfway between two quantiles is halfway between their lengths."""
    table = {"0": 10.0, "50": 20.0, "100": 60.0}
    assert [quantile(table, percent) for percent in (0, 25, 50, 75, 100)] == [10, 15, 20, 40, 60]


def items(seed: int = 0, vocabulary: int = 30522, max_length: int = 128, avoid: set[int] | None = None) -> list[object]:
    """Return 40 items of MNLI."""
    made = synthetic_items(
        SyntheticItems(count=40, seed=seed),
        TASK_PRESETS["mnli"].lengths,
        pair=True,
        max_length=max_length,
        vocabulary=vocabulary,
        avoid=avoid or set(),
    )
    return list(made)


def test_the_same_seed_gives_the_same_items_and_another_does_not() -> None:
    """Both models of a pair get the same tokens."""
    assert items(seed=1) == items(seed=1)
    assert items(seed=1) != items(seed=2)


def test_items_are_cut_to_the_longest_allowed() -> None:
    """No item is longer than max_length, and an item that was cut has exactly that length."""
    lengths = [len(item.ids) for item in items(max_length=30)]  # type: ignore[attr-defined]  # TokenItem
    assert max(lengths) == 30
    assert lengths.count(30) > 5


def test_tokens_stay_in_the_vocabulary_and_out_of_the_special_ones() -> None:
    """GPT-2 finds the end of an item by its padding token, so it must not occur inside an item."""
    used = {token for item in items(vocabulary=1010, avoid={1005}) for token in item.ids}  # type: ignore[attr-defined]  # TokenItem
    assert used <= set(range(505, 1010)) - {1005}


def test_a_single_text_has_no_second_part() -> None:
    """Its second length is 0."""
    lengths = Lengths(first={"0": 5.0, "100": 5.0})
    assert item_lengths(SyntheticItems(count=3), lengths, pair=False) == [(5, 0)] * 3
