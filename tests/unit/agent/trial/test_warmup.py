"""When a warm-up ends."""

from __future__ import annotations

import pytest

from agent.trial.warmup import WarmUpChunk, WarmUpState, warm_up_state
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
    """Return one chunk per second, with its passes, and with joules where `watts` are given."""
    return [
        WarmUpChunk(passes=round(rate * 1000), seconds=1.0, joules=watts[index] if watts else None)
        for index, rate in enumerate(rates)
    ]


def state(done: list[WarmUpChunk], *, regime: Regime = "sustained", power_window_s: float | None = None) -> WarmUpState:
    """Return the state of a warm-up that has done these chunks."""
    return warm_up_state(done, regime=regime, timing=TIMING, power_window_s=power_window_s)


def test_a_burst_warms_up_for_its_time_and_no_longer() -> None:
    """In the burst regime only the duration counts, steady or not."""
    assert state(chunks([1.0] * 19), regime="burst") == "again"
    assert state(chunks([1.0, 5.0] * 10), regime="burst") == "long_enough"


def test_a_sustained_warm_up_ends_when_throughput_is_steady() -> None:
    """Two stretches within 1 % of each other are steady."""
    assert state(chunks([0.5] * 10 + [1.0] * 5 + [1.005] * 5)) == "steady"


def test_a_drift_of_two_percent_is_not_steady() -> None:
    """Throughput that still grows goes on warming up."""
    assert state(chunks([1.0] * 15 + [1.02] * 5)) == "again"


def test_power_that_drifts_is_not_steady_though_throughput_is() -> None:
    """Both must be steady where power can be read."""
    assert state(chunks([1.0] * 20, watts=[40.0] * 15 + [42.0] * 5)) == "again"


def test_a_warm_up_that_never_becomes_steady_ends_at_its_limit() -> None:
    """The trial gets the flag not_steady."""
    assert state(chunks([1.0 + 0.1 * (second // 5 % 2) for second in range(60)])) == "not_steady"


@pytest.mark.parametrize(("power_window_s", "expected"), [(None, "steady"), (5.0, "steady"), (28.0, "again")])
def test_twice_the_power_limit_window_is_waited_for(power_window_s: float | None, expected: str) -> None:
    """Turbo lasts about one power-limit window: before its end the power is steady, but too high."""
    assert state(chunks([1.0] * 25), power_window_s=power_window_s) == expected
