"""When a warm-up ends: after its least duration, and in the sustained regime once it is steady."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from joulefleet.study.spec import Regime
from joulefleet.study.timing import Timing

STEADY_WINDOW_S = 5.0
"""Duration of each of the two stretches that are compared, seconds."""

DRIFT_LIMIT = 0.01
"""Relative difference between the two stretches below which the warm-up is steady."""

WarmUpState = Literal["again", "steady", "not_steady", "long_enough"]
"""again: the warm-up goes on; the other three end it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUpChunk:
    """Some whole passes of the warm-up: number, duration, and the packages' joules where they are readable."""

    passes: int
    seconds: float
    joules: float | None


def warm_up_state(
    chunks: Sequence[WarmUpChunk], *, regime: Regime, timing: Timing, power_window_s: float | None
) -> WarmUpState:
    """Return whether the warm-up goes on after `chunks`, and how it ended otherwise.

    burst: until `warm_up_at_least_s`. sustained: at least that and twice the longest power-limit time
    window (`power_window_s`, seconds), then until throughput and power of the last two stretches of
    STEADY_WINDOW_S differ by under 1 %, or `warm_up_at_most_s` is reached.
    """
    elapsed = sum(chunk.seconds for chunk in chunks)
    if regime == "burst":
        return "long_enough" if elapsed >= timing.warm_up_at_least_s else "again"
    least = max(timing.warm_up_at_least_s, 2 * (power_window_s or 0.0))
    if elapsed < least:
        return "again"
    if _is_steady(chunks):
        return "steady"
    return "again" if elapsed < max(least, timing.warm_up_at_most_s) else "not_steady"


def _is_steady(chunks: Sequence[WarmUpChunk]) -> bool:
    last, rest = _last_stretch(chunks)
    before, _ = _last_stretch(rest)
    if not last or not before:
        return False
    rates = [(_per_second(before, "passes"), _per_second(last, "passes"))]
    if all(chunk.joules is not None for chunk in [*before, *last]):
        rates.append((_per_second(before, "joules"), _per_second(last, "joules")))
    return all(old > 0 and abs(new / old - 1) < DRIFT_LIMIT for old, new in rates)


def _last_stretch(chunks: Sequence[WarmUpChunk]) -> tuple[list[WarmUpChunk], Sequence[WarmUpChunk]]:
    """Return the shortest tail of at least STEADY_WINDOW_S, and the chunks before it; two empty lists without one."""
    total = 0.0
    for start in range(len(chunks) - 1, -1, -1):
        total += chunks[start].seconds
        if total >= STEADY_WINDOW_S:
            return list(chunks[start:]), chunks[:start]
    return [], []


def _per_second(chunks: Sequence[WarmUpChunk], quantity: Literal["passes", "joules"]) -> float:
    return sum(float(getattr(chunk, quantity)) for chunk in chunks) / sum(chunk.seconds for chunk in chunks)
