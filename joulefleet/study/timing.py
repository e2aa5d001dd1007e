"""The durations of a trial: those that the study gives, otherwise those of its regime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from joulefleet.study.spec import Regime, Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The durations of one trial, seconds, with the defaults of its regime filled in."""

    baseline_s: float
    warm_up_at_least_s: float
    warm_up_at_most_s: float
    window_at_least_s: float
    cool_down_fixed_s: float
    cool_down_at_most_s: float


# sustained: the warm-up outlasts twice a power-limit window of 28 s (the usual PL1), the baseline of a
# block of a dozen trials adds up to over 30 s. burst: a demonstration, as short as it can be with any meaning.
_REGIME_TIMING: Mapping[Regime, Timing] = {
    "sustained": Timing(
        baseline_s=5.0,
        warm_up_at_least_s=56.0,
        warm_up_at_most_s=180.0,
        window_at_least_s=30.0,
        cool_down_fixed_s=10.0,
        cool_down_at_most_s=60.0,
    ),
    "burst": Timing(
        baseline_s=0.5,
        warm_up_at_least_s=0.5,
        warm_up_at_most_s=0.5,
        window_at_least_s=1.0,
        cool_down_fixed_s=0.2,
        cool_down_at_most_s=2.0,
    ),
}


def timing(study: Study) -> Timing:
    """Return the durations that hold for `study`: its own where given, otherwise those of its regime."""
    measure, default = study.measure, _REGIME_TIMING[study.regime]
    at_least = _given(measure.warm_up.at_least_s, default.warm_up_at_least_s)
    fixed = _given(measure.cool_down.fixed_s, default.cool_down_fixed_s)
    return Timing(
        baseline_s=_given(measure.baseline_s, default.baseline_s),
        warm_up_at_least_s=at_least,
        warm_up_at_most_s=max(at_least, _given(measure.warm_up.at_most_s, default.warm_up_at_most_s)),
        window_at_least_s=_window_at_least_s(study, default),
        cool_down_fixed_s=fixed,
        cool_down_at_most_s=_given(measure.cool_down.at_most_s, max(fixed, default.cool_down_at_most_s)),
    )


def _window_at_least_s(study: Study, default: Timing) -> float:
    # Fixed passes have no shortest duration, except that a sustained window is long in any case.
    if study.measure.window.passes is not None:
        return default.window_at_least_s if study.regime == "sustained" else 0.0
    return _given(study.measure.window.at_least_s, default.window_at_least_s)


def _given(value: float | None, default: float) -> float:
    return default if value is None else value
