"""When a warm-up has done enough."""

from __future__ import annotations

import pytest

from agent.trial.warmup import WarmUpChunk, verdict
from joulefleet.study.spec import Regime
from joulefleet.study.timing import Timing

TIMING = Timing(
    baseline_s=0,
    warm_up_at_least_s=20,
    warm_up_at_most_s=60,
    window_at_least_s=30,
    cool_down_fixed_s=0,
    cool_down_at_most_s=0,
)


def chunks(rates: list[float], *, watts: list[float] | None = None) -> list[WarmUpChunk]:
    """A chunk a second: passes, and joules where power is known."""
    return [
        WarmUpChunk(passes=round(rate * 1000), seconds=1.0, joules=watts[index] if watts else None)
        for index, rate in enumerate(rates)
    ]


def said(done: list[WarmUpChunk], *, regime: Regime = "sustained", power_window_s: float | None = None) -> str:
    """The verdict."""
    return verdict(done, regime=regime, timing=TIMING, power_window_s=power_window_s)


def test_a_burst_warms_up_for_its_time_and_no_longer() -> None:
    """Burst asks for the time only, steady or not."""
    assert said(chunks([1.0] * 19), regime="burst") == "again"
    assert said(chunks([1.0, 5.0] * 10), regime="burst") == "long_enough"


def test_a_sustained_warm_up_ends_when_throughput_is_steady() -> None:
    """Two stretches within 1 % of each other are steady."""
    assert said(chunks([0.5] * 10 + [1.0] * 5 + [1.005] * 5)) == "steady"


def test_a_drift_of_two_percent_is_not_steady() -> None:
    """Throughput that still grows goes on warming up."""
    assert said(chunks([1.0] * 15 + [1.02] * 5)) == "again"


def test_power_that_drifts_is_not_steady_though_throughput_is() -> None:
    """Both must be steady where power can be read."""
    assert said(chunks([1.0] * 20, watts=[40.0] * 15 + [42.0] * 5)) == "again"


def test_a_warm_up_that_never_steadies_ends_at_its_ceiling_and_is_marked() -> None:
    """The ceiling ends it, and the trial is marked not_steady."""
    assert said(chunks([1.0 + 0.1 * (second // 5 % 2) for second in range(60)])) == "not_steady"


@pytest.mark.parametrize(("power_window_s", "expected"), [(None, "steady"), (5.0, "steady"), (28.0, "again")])
def test_twice_the_power_limit_window_is_waited_for(power_window_s: float | None, expected: str) -> None:
    """Turbo lasts about one power-limit window: steady before that is steady at the wrong power."""
    assert said(chunks([1.0] * 25), power_window_s=power_window_s) == expected
