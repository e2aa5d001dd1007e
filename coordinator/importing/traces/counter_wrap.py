"""Repairs traces of power in which an energy counter wrapped: exactly, or not at all. Pure.

A tool that derives watts from a counter without regard to its wraps records a sample below zero, too low by
the counter's range. So the recorded sample of the machine, plus the range over the sample's second, is the
power of the machine. The tool computes the power of a process as a share of the machine's power. So the
power of the process is the repaired power of the machine times this share, which is the ratio of both
samples as recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, isnan

from joulefleet.counters import ASSUMED_RANGE_UJ, COMMON_RANGE_J, unwrapped_power_w

SAMPLE_S = 1.0
"""Duration of a sample, seconds: PowerJoular samples once a second, and sums its samples as seconds."""

RANGES_J = (COMMON_RANGE_J, ASSUMED_RANGE_UJ / 1e6)
"""Ranges of the package counters of Intel, joules: 2^32 units of 61 uJ (some 262,143 J) and of 15.3 uJ (65,536 J)."""

Moment = tuple[str, int]
"""A sample's date as recorded, and its number among the samples of the same date, from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerTrace:
    """Samples of power as recorded, W; NaN where the sample is missing."""

    moments: Sequence[Moment]
    watts: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairedSample:
    """A sample below zero of a trace, and the sample of the machine at the same moment; both before and after."""

    date: str
    recorded_machine_w: float
    machine_w: float
    recorded_w: float
    watts: float
    range_j: float
    """Range of the counter that was assumed, joules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """A trace after its repair, W, and the samples that were repaired."""

    watts: Sequence[float]
    samples: Sequence[RepairedSample]

    @property
    def joules(self) -> float:
        """The energy of the repaired trace, joules."""
        return fsum(self.watts) * SAMPLE_S


@dataclass(frozen=True, slots=True)
class Irreparable:
    """The reason why a trace cannot be repaired."""

    reason: str


def is_wrapped(trace: PowerTrace) -> bool:
    """Return whether a sample of `trace` is below zero."""
    return any(watts < 0 for watts in trace.watts)


def repaired(trace: PowerTrace, machine: PowerTrace, *, range_j: float | None = None) -> Repair | Irreparable:
    """Repair `trace` with the trace of its `machine`, which may be the same; return why if that is impossible.

    `range_j` is the range of the machine's counter, joules, by default one of RANGES_J.
    """
    if any(isnan(watts) for watts in trace.watts):
        return Irreparable("a sample of the trace is no number, so its sum is not known")
    machine_by_moment = dict(zip(machine.moments, machine.watts, strict=True))
    watts, samples = [], []
    for (date, number), recorded_w in zip(trace.moments, trace.watts, strict=True):
        recorded_machine_w = machine_by_moment.get((date, number))
        if recorded_w >= 0:
            if recorded_w > 0 and recorded_machine_w is not None and recorded_machine_w < 0:
                return Irreparable(f"at {date} the machine's power is below zero and the process's share of it is not")
            watts.append(recorded_w)
            continue
        if recorded_machine_w is None:
            return Irreparable(f"the machine's trace has no sample of {date}, where the process's is below zero")
        repair = _unwrapped(recorded_machine_w, RANGES_J if range_j is None else (range_j,))
        if repair is None:
            return Irreparable(f"no wrap of the counter explains the machine's {recorded_machine_w:g} W at {date}")
        machine_w, assumed_range_j = repair
        sample = RepairedSample(
            date=date,
            recorded_machine_w=recorded_machine_w,
            machine_w=machine_w,
            recorded_w=recorded_w,
            watts=machine_w * (recorded_w / recorded_machine_w),
            range_j=assumed_range_j,
        )
        samples.append(sample)
        watts.append(sample.watts)
    return Repair(watts=watts, samples=samples)


def _unwrapped(watts: float, ranges_j: Sequence[float]) -> tuple[float, float] | None:
    """Return the power of the machine before its counter wrapped, W, and the first of `ranges_j` that explains it."""
    for range_j in ranges_j if watts < 0 else ():
        power_w = unwrapped_power_w(watts, seconds=SAMPLE_S, range_j=range_j)
        if power_w is not None:
            return power_w, range_j
    return None
