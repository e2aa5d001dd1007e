"""The laws of the statistics of trials, blocks and machines. Those of the paired ratio's arms are in their own file."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from joulefleet.stats import Estimate, MachineEffect, Pooled, paired_ratio, pool, unpaired_ratio
from joulefleet.stats.equivalence import equivalent, non_inferior
from joulefleet.stats.multiplicity import holm
from joulefleet.stats.sample_size import stein_blocks, stein_interval

positive = st.floats(min_value=1e-6, max_value=1e6)
arms = st.lists(positive, min_size=5, max_size=20)
scales = st.floats(min_value=1e-3, max_value=1e3)
p_values = st.lists(st.floats(0, 1), min_size=1, max_size=10)
log_ratios = st.lists(st.floats(-2, 2), min_size=3, max_size=12)
seeds = st.integers(0, 2**32)


def vary(values: list[float]) -> bool:
    """Return whether the logarithms differ by more than rounding."""
    logs = [math.log(value) for value in values]
    return max(logs) - min(logs) > 1e-3


def limits(found: Estimate | Pooled) -> tuple[float, float, float]:
    """Return the logarithms of lower limit, ratio and upper limit; skip examples whose limits are beyond a double."""
    assert found.low is not None
    assert found.ratio is not None
    assert found.high is not None
    assume(found.low > 0 and found.high < math.inf)
    return math.log(found.low), math.log(found.ratio), math.log(found.high)


def effects(logs: list[float], models: list[str] | None = None, variance: float = 1e-3) -> list[MachineEffect]:
    """Return a machine for each log ratio."""
    return [
        MachineEffect(machine=f"m{n}", cpu_model=models[n] if models else None, log_ratio=value, variance=variance)
        for n, value in enumerate(logs)
    ]


@given(arms, arms)
def test_swapping_unpaired_arms_inverts_the_ratio_and_its_interval(first: list[float], second: list[float]) -> None:
    """The p-value stays the same."""
    assume(vary(first) and vary(second))
    there, back = unpaired_ratio(first, second), unpaired_ratio(second, first)
    low, ratio, high = limits(there)
    assert limits(back) == pytest.approx((-high, -ratio, -low), rel=1e-9, abs=1e-9)
    assert back.p_value == pytest.approx(there.p_value, rel=1e-9)
    assert back.degrees == pytest.approx(there.degrees, rel=1e-12)


@given(arms, arms, scales, scales)
def test_unpaired_ratio_follows_the_units(first: list[float], second: list[float], one: float, other: float) -> None:
    """Another unit of both arms changes nothing; a factor of one arm changes ratio and limits by that factor."""
    assume(vary(first) and vary(second))
    plain = limits(unpaired_ratio(first, second))
    both = unpaired_ratio([one * value for value in first], [one * value for value in second])
    assert limits(both) == pytest.approx(plain, rel=1e-6, abs=1e-6)
    moved = unpaired_ratio(first, [other * value for value in second])
    assert limits(moved) == pytest.approx([value + math.log(other) for value in plain], rel=1e-6, abs=1e-6)


@given(arms, seeds)
def test_order_of_blocks_and_of_trials_does_not_matter(values: list[float], seed: int) -> None:
    """Blocks are reordered with both arms together, trials without blocks in each arm by itself."""
    random = Random(seed)
    teacher, student = values, [value * random.uniform(0.5, 1.5) for value in reversed(values)]
    assume(vary([second / first for first, second in zip(teacher, student, strict=True)]) and vary(teacher))
    order = random.sample(range(len(values)), len(values))
    there = paired_ratio(teacher, student)
    back = paired_ratio([teacher[index] for index in order], [student[index] for index in order])
    assert limits(back) == pytest.approx(limits(there), rel=1e-9, abs=1e-9)
    assert back.p_value == pytest.approx(there.p_value, rel=1e-9, abs=1e-15)
    assume(vary(student))
    loose, mixed = unpaired_ratio(teacher, student), unpaired_ratio(sorted(teacher), [student[n] for n in order])
    assert limits(mixed) == pytest.approx(limits(loose), rel=1e-9, abs=1e-9)


@given(arms, seeds, scales, st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_a_p_value_is_small_exactly_where_the_interval_excludes(
    values: list[float], seed: int, null_ratio: float, confidence: float
) -> None:
    """The two never contradict each other, for any null ratio and at any level."""
    random = Random(seed)
    student = [value * random.uniform(0.5, 1.5) for value in values]
    assume(vary([second / first for first, second in zip(values, student, strict=True)]) and vary(values))
    for found in (
        paired_ratio(values, student, confidence=confidence, null_ratio=null_ratio),
        unpaired_ratio(values, student, confidence=confidence, null_ratio=null_ratio),
    ):
        assert found.p_value is not None
        assume(abs(found.p_value - (1 - confidence)) > 1e-9)
        assert (found.p_value < 1 - confidence) == (not found.holds(null_ratio))


@given(log_ratios, seeds, st.floats(-3, 3))
def test_pooling_knows_no_order_no_unit_and_no_side(logs: list[float], seed: int, shift: float) -> None:
    """The order of machines does not matter, a common factor moves the result, and swapped arms invert it."""
    assume(max(logs) - min(logs) > 1e-3)
    plain = limits(pool(effects(logs)))
    mixed = pool(Random(seed).sample(effects(logs), len(logs)))
    assert limits(mixed) == pytest.approx(plain, rel=1e-9, abs=1e-9)
    moved = pool(effects([value + shift for value in logs]))
    assert limits(moved) == pytest.approx([value + shift for value in plain], rel=1e-9, abs=1e-9)
    back = pool(effects([-value for value in logs]))
    assert limits(back) == pytest.approx([-value for value in reversed(plain)], rel=1e-9, abs=1e-9)
    assert back.p_value == pytest.approx(pool(effects(logs)).p_value, rel=1e-9)


@given(log_ratios, st.integers(1, 5))
def test_more_machines_just_like_one_that_is_there_change_nothing(logs: list[float], copies: int) -> None:
    """They are no replicates of other CPU models, so the interval must not become narrower."""
    assume(max(logs) - min(logs) > 1e-3)
    models = [f"cpu {n}" for n in range(len(logs))]
    plain = pool(effects(logs, models))
    more = pool(effects(logs + [logs[0]] * copies, models + [models[0]] * copies))
    assert (more.units, more.machines) == (plain.units, plain.machines + copies)
    assert limits(more) == pytest.approx(limits(plain), rel=1e-9, abs=1e-9)


@given(log_ratios)
def test_the_check_is_never_narrower_for_machines_of_equal_precision(logs: list[float]) -> None:
    """It gives all machines the same weight, and its factor of at least 1 can only widen the interval."""
    assume(max(logs) - min(logs) > 1e-3)
    found = pool(effects(logs))
    assert found.check is not None
    assert math.log(found.check.ratio) == pytest.approx(limits(found)[1], abs=1e-9)
    assert math.log(found.check.high / found.check.low) >= (limits(found)[2] - limits(found)[0]) * (1 - 1e-6)


@given(p_values)
def test_holm_raises_p_values_and_keeps_their_order(p: list[float]) -> None:
    """No p-value becomes smaller or larger than 1, and the order stays."""
    adjusted = holm(p)
    assert all(before <= after <= 1 for before, after in zip(p, adjusted, strict=True))
    order = sorted(range(len(p)), key=lambda index: p[index])
    assert [adjusted[index] for index in order] == sorted(adjusted)


@given(p_values, st.data())
def test_holm_is_monotone(p: list[float], data: st.DataObject) -> None:
    """A smaller p-value raises no adjusted one, and a further test lowers none."""
    index = data.draw(st.integers(0, len(p) - 1))
    smaller = [*p[:index], p[index] * data.draw(st.floats(0, 1)), *p[index + 1 :]]
    assert all(less <= before + 1e-15 for less, before in zip(holm(smaller), holm(p), strict=True))
    more = holm([*p, data.draw(st.floats(0, 1))])
    assert all(after >= before - 1e-15 for after, before in zip(more, holm(p), strict=False))


@given(st.floats(-0.5, 0.5), st.floats(1e-4, 0.5), st.integers(4, 40), st.floats(0.01, 0.5), st.floats(1, 3))
def test_who_is_equivalent_is_not_inferior(
    mean: float, error: float, degrees: int, margin: float, wider: float
) -> None:
    """It is also equivalent within every wider margin."""
    both = equivalent(mean, error, degrees, margin=margin)
    assert non_inferior(mean, error, degrees, margin=margin).holds or not both.holds
    assert equivalent(mean, error, degrees, margin=margin * wider).p_value <= both.p_value * (1 + 1e-9)
    assert equivalent(-mean, error, degrees, margin=margin).p_value == pytest.approx(both.p_value, rel=1e-9)


@given(st.floats(1e-6, 0.5), st.integers(10, 50), st.floats(1.005, 1.5), st.floats(1, 10))
def test_two_stages_end_as_narrow_as_asked(variance: float, pilot: int, factor: float, more: float) -> None:
    """There are never fewer blocks than the pilot has, and more of them for more variance."""
    blocks = stein_blocks(variance, pilot, factor=factor)
    low, high = stein_interval(0.0, variance, pilot, blocks)
    assert high <= factor * (1 + 1e-12)
    assert low >= 1 / factor * (1 - 1e-12)
    assert pilot <= blocks <= stein_blocks(variance * more, pilot, factor=factor)
