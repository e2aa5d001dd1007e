"""The durations that hold for a study."""

from __future__ import annotations

from dataclasses import replace

import pytest

from joulefleet.study.spec import CoolDown, Measure, Model, Study, Task, WarmUp, Window
from joulefleet.study.timing import Timing, timing

STUDY = Study(
    name="s", repetitions=1, regime="sustained", models={"m": Model(path="m")}, tasks={"t": Task(preset="sst2")}
)
SUSTAINED = timing(STUDY)


def timing_with(measure: Measure) -> Timing:
    """Return the durations of the sustained study with other measures."""
    return timing(replace(STUDY, measure=measure))


def test_a_regime_gives_what_the_study_leaves_open() -> None:
    """One value that the study gives changes no other one."""
    assert timing_with(Measure(baseline_s=0.0)) == replace(SUSTAINED, baseline_s=0.0)
    assert timing_with(Measure(window=Window(at_least_s=90.0))) == replace(SUSTAINED, window_at_least_s=90.0)


@pytest.mark.parametrize(("at_least_s", "at_most_s"), [(10.0, 180.0), (500.0, 500.0)])
def test_the_longest_warm_up_is_never_shorter_than_the_shortest(at_least_s: float, at_most_s: float) -> None:
    """A study may ask for a longer warm-up than the regime's longest."""
    warm = timing_with(Measure(warm_up=WarmUp(at_least_s=at_least_s)))
    assert (warm.warm_up_at_least_s, warm.warm_up_at_most_s) == (at_least_s, at_most_s)


def test_the_longest_rest_is_never_shorter_than_the_fixed_one() -> None:
    """Unless the study gives both."""
    assert timing_with(Measure(cool_down=CoolDown(fixed_s=300.0))).cool_down_at_most_s == 300.0
    assert timing_with(Measure(cool_down=CoolDown(fixed_s=300.0, at_most_s=20.0))).cool_down_at_most_s == 20.0


@pytest.mark.parametrize(("regime", "window_s"), [("sustained", 30.0), ("burst", 0.0)])
def test_fixed_passes_have_no_shortest_duration_in_a_burst(regime: str, window_s: float) -> None:
    """A sustained window lasts 30 s in any case."""
    study = replace(STUDY, regime=regime, measure=Measure(window=Window(passes=3)))  # type: ignore[arg-type]  # a case
    assert timing(study).window_at_least_s == window_s
