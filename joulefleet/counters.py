"""Exact differences of counters that wrap: integers in the counter's own unit, or None with a reason.

A counter that counts to `range` and starts again is known modulo `range`. The sum of the differences is the
true total if it is read so often that it cannot wrap unseen between two readings. Whether that holds is
decided for each gap by its real length, at the highest power that the domain can draw.

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
"""Lowest value used for the highest possible power, W, so that a limit set too low does not hide a wrap."""

ASSUMED_RANGE_UJ = 65_532_610_987
"""Range of a counter whose range is unreadable, uJ: the smallest of Intel's RAPL (2^32 units of 15.3 uJ)."""

COMMON_RANGE_J = 262_143.328850
"""Range of most Intel packages, J: 2^32 - 1 units of 61.035 uJ."""

REFRESH_S = 0.005
"""Age that a counter's value may have, seconds: it is refreshed about every millisecond, so a gap may be longer."""

BOOTTIME_JUMP_NS = 50_000_000
"""Longest lead that CLOCK_BOOTTIME gains on CLOCK_MONOTONIC by read jitter, ns; more is a suspend."""

# Of the power that readings show: the fewest steps, the shortest gap of a step, the share below it, the most readings.
_OBSERVED_STEPS = 20
_OBSERVED_GAP_S = 0.05
_OBSERVED_SHARE = 0.9
_OBSERVED_MOST = 2_000

Doubt = Literal["unread", "order", "below_zero", "gap", "stepped_back", "beyond_range", "reset"]


@dataclass(frozen=True, slots=True)
class Known:
    """A total that is known, in the counter's unit."""

    total: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """A total that is not known: the reason for people, and the kind of doubt."""

    reason: str
    doubt: Doubt = "unread"


Gap = tuple[int, int]
"""Times of two successive readings, ns."""


def counter_total(
    t_ns: Sequence[int], values: Sequence[float], *, range_uj: int | None, peak_w: float = PLAUSIBLE_PEAK_W
) -> Known | Unknown:
    """Return the energy that a counter counted from its first to its last reading, uJ.

    `range_uj` is the counter's range (`max_energy_range_uj`), None where unreadable; `peak_w` is the highest
    power that the domain can draw, W. A failed read in the middle is skipped; one at either end makes the
    total unknown.
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
    """Return the gaps in which the counter was, or may have been, reset: no possible power explains its step."""
    gaps = []
    for (t0, v0), (t1, v1) in _steps(t_ns, values):
        step = _step(v0, v1, gap_s=(t1 - t0) / 1e9, range_uj=range_uj, peak_w=peak_w)
        # Without a range a step back may be a wrap or a reset; here it counts as a reset.
        if isinstance(step, Unknown) and step.doubt in ("reset", "stepped_back"):
            gaps.append((t0, t1))
    return gaps


def steps_back(t_ns: Sequence[int], values: Sequence[float]) -> list[Gap]:
    """Return the gaps after which the counter read less than before: wraps or resets."""
    return [(t0, t1) for (t0, v0), (t1, v1) in _steps(t_ns, values) if v1 < v0]


def observed_peak_w(t_ns: Sequence[int], values: Sequence[float], *, range_uj: int | None) -> float | None:
    """Return the 90th percentile of the power between readings, W; None where there are fewer than 20 steps.

    It is not the highest, because a reset looks like an enormous power and would pass its own check.
    """
    # Evenly thinned: a percentile of some thousand steps is as good as one of a million.
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
    """Return the true power of a reading that a wrapped counter made negative, W; None where one wrap cannot be why.

    It repairs data of tools that compute power per sample of `seconds` from a counter of `range_j` joules and
    ignore its wraps. A power that is not negative is returned as it is.
    """
    if isnan(power_w) or seconds <= 0:
        return None
    if power_w >= 0:
        return power_w
    repaired = power_w + range_j / seconds
    return repaired if 0 <= repaired <= PLAUSIBLE_PEAK_W else None


def slept(offsets_ns: Sequence[int]) -> bool:
    """Tell whether the machine was suspended between several moments.

    `offsets_ns` are CLOCK_BOOTTIME - CLOCK_MONOTONIC at these moments, ns.
    """
    return bool(offsets_ns) and max(offsets_ns) - min(offsets_ns) > BOOTTIME_JUMP_NS


def _steps(t_ns: Sequence[int], values: Sequence[float]) -> Iterator[tuple[tuple[int, float], tuple[int, float]]]:
    """Yield each reading that did not fail with the next one."""
    before: tuple[int, float] | None = None
    for t, value in zip(t_ns, values, strict=True):
        if isnan(value):
            continue
        now = (t, value)
        if before is not None:
            yield before, now
        before = now


def _step(v0: float, v1: float, *, gap_s: float, range_uj: int | None, peak_w: float) -> Known | Unknown:
    """Return the energy between two successive readings `v0` and `v1`, uJ."""
    guard_uj = range_uj or ASSUMED_RANGE_UJ
    # The most that can be counted in the gap. If it is below the range, a step within it cannot hide a wrap.
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
