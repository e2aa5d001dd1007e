"""Differences of counters that wrap, exactly: integers in the counter's own unit, or None with a reason.

A counter that counts to `range` and starts again is known modulo `range`. Readings often enough
that it cannot have gone round between two of them (guard reads) make the sum of the differences the
true total. Whether a gap was short enough is judged by the gap that really was, at the highest
power the domain can draw.

Readings are two sequences of equal length: times in ns of CLOCK_MONOTONIC, and values, NaN where a
read failed. Values are whole numbers, which floats hold exactly up to 2^53: no counter of
microjoules has a larger range.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Literal

PLAUSIBLE_PEAK_W = 500.0
"""The least power that is taken for possible, so that one small limit cannot hide a wrap."""

ASSUMED_RANGE_UJ = 65_532_610_987
"""Where a counter's range is unreadable: the smallest that Intel's RAPL has (2^32 units of 15.3 uJ)."""

COMMON_RANGE_J = 262_143.328850
"""The range of most Intel packages: 2^32 - 1 units of 61.035 uJ."""

REFRESH_S = 0.005
"""A counter is refreshed about every millisecond: a gap may hold so much more time than between its two reads."""

BOOTTIME_JUMP_NS = 50_000_000
"""CLOCK_BOOTTIME may run ahead of CLOCK_MONOTONIC by so much before it is a suspend, not read jitter."""

_OBSERVED_STEPS = 20
_OBSERVED_GAP_S = 0.05
_OBSERVED_SHARE = 0.9
_OBSERVED_MOST = 2_000

Doubt = Literal["unread", "order", "below_zero", "gap", "stepped_back", "beyond_range", "reset"]


@dataclass(frozen=True, slots=True)
class Known:
    """A total in the counter's unit."""

    total: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """No total, and why: in words, and as the kind of doubt."""

    reason: str
    doubt: Doubt = "unread"


Gap = tuple[int, int]
"""The times of two readings one after the other, ns."""


def counter_total(
    t_ns: Sequence[int], values: Sequence[float], *, range_uj: int | None, peak_w: float = PLAUSIBLE_PEAK_W
) -> Known | Unknown:
    """What an energy counter of microjoules counted from the first to the last of its readings.

    `range_uj` is the counter's range (`max_energy_range_uj`), None where unreadable; `peak_w` the
    highest power that the domain can draw, watts. A failed read in the middle is bridged by its
    neighbours; one at either end makes the total unknown.
    """
    if len(values) < 2:
        return Unknown("fewer than two readings")
    if isnan(values[0]) or isnan(values[-1]):
        return Unknown("the counter could not be read at the edge of the phase")
    total = 0
    for (t0, v0), (t1, v1) in _steps(t_ns, values):
        step = _step(v0, v1, gap_s=(t1 - t0) / 1e9, range_uj=range_uj, peak_w=peak_w)
        if isinstance(step, Unknown):
            return step
        total += step.total
    return Known(total)


def resets(t_ns: Sequence[int], values: Sequence[float], *, range_uj: int | None, peak_w: float) -> list[Gap]:
    """The gaps in which the counter was, or may have been, reset or replaced: no power explains its step."""
    found = []
    for (t0, v0), (t1, v1) in _steps(t_ns, values):
        step = _step(v0, v1, gap_s=(t1 - t0) / 1e9, range_uj=range_uj, peak_w=peak_w)
        # Without a range a step back is a wrap or a reset; as a witness against others it is taken for a reset.
        if isinstance(step, Unknown) and step.doubt in ("reset", "stepped_back"):
            found.append((t0, t1))
    return found


def steps_back(t_ns: Sequence[int], values: Sequence[float]) -> list[Gap]:
    """The gaps after which the counter read less than before: wraps or resets."""
    return [(t0, t1) for (t0, v0), (t1, v1) in _steps(t_ns, values) if v1 < v0]


def observed_peak_w(t_ns: Sequence[int], values: Sequence[float], *, range_uj: int | None) -> float | None:
    """The power that the readings themselves show, watts: their 90th percentile, None of fewer than 20 steps.

    Not the highest: a reset looks like an enormous power, and must not vouch for itself.
    """
    # Evenly thinned: some thousand steps tell a percentile as well as a million.
    stride = max(1, len(values) // _OBSERVED_MOST)
    powers = []
    for index, ((t0, v0), (t1, v1)) in enumerate(_steps(t_ns, values)):
        gap_s = (t1 - t0) / 1e9
        if index % stride == 0 and gap_s >= _OBSERVED_GAP_S and (v1 >= v0 or range_uj):
            powers.append((v1 - v0 if v1 >= v0 else v1 - v0 + (range_uj or 0)) / 1e6 / gap_s)
    if len(powers) < _OBSERVED_STEPS:
        return None
    return sorted(powers)[int(_OBSERVED_SHARE * (len(powers) - 1))]


def unwrapped_power_w(power_w: float, *, seconds: float = 1.0, range_j: float = COMMON_RANGE_J) -> float | None:
    """The power behind a reading of watts that a wrapped counter made negative; None where no one wrap explains it.

    For the data of tools that store power per sample of `seconds` from a counter of `range_j` joules
    without minding its wraps. A power that is not negative is returned as it is.
    """
    if isnan(power_w) or seconds <= 0:
        return None
    if power_w >= 0:
        return power_w
    mended = power_w + range_j / seconds
    return mended if 0 <= mended <= PLAUSIBLE_PEAK_W else None


def slept(offsets_ns: Sequence[int]) -> bool:
    """Whether the machine was suspended: `offsets_ns` are CLOCK_BOOTTIME - CLOCK_MONOTONIC at several moments."""
    return bool(offsets_ns) and max(offsets_ns) - min(offsets_ns) > BOOTTIME_JUMP_NS


def _steps(t_ns: Sequence[int], values: Sequence[float]) -> Iterator[tuple[tuple[int, float], tuple[int, float]]]:
    """Each reading with the next one that did not fail."""
    before: tuple[int, float] | None = None
    for t, value in zip(t_ns, values, strict=True):
        if isnan(value):
            continue
        now = (t, value)
        if before is not None:
            yield before, now
        before = now


def _step(v0: float, v1: float, *, gap_s: float, range_uj: int | None, peak_w: float) -> Known | Unknown:
    guard_uj = range_uj or ASSUMED_RANGE_UJ
    # One bound for both questions below: a step within it is told from the same step and a wrap.
    most_uj = (gap_s + REFRESH_S) * peak_w * 1e6
    if gap_s < 0:
        return Unknown("the readings are not in the order of their times", "order")
    if v0 < 0 or v1 < 0:
        return Unknown("the counter reads below zero", "below_zero")
    if most_uj >= guard_uj:
        return Unknown(f"{gap_s:.0f} s without a reading: the counter may have wrapped unseen", "gap")
    if v1 < v0 and not range_uj:
        return Unknown("the counter stepped back, and its range is unknown", "stepped_back")
    if range_uj and max(v0, v1) > range_uj:
        return Unknown("the counter reads beyond its range", "beyond_range")
    # max_energy_range_uj is taken as the modulus, as the kernel and every published trace do.
    difference = int(v1) - int(v0) if v1 >= v0 else int(v1) - int(v0) + (range_uj or 0)
    if difference > most_uj:
        return Unknown(f"an implied power above {peak_w:.0f} W: the counter was reset or replaced", "reset")
    return Known(difference)
