"""Repairs traces of power in which an energy counter wrapped: exactly, or not at all. Pure.

A tool that derives watts from a counter without regard to its wraps records a sample below zero, too low by
the counter's range. So the recorded sample of the machine, plus the range over the sample's second, is the
power of the machine. The tool computes the power of a process as a share of the machine's power. So the
power of the process is the repaired power of the machine times this share, which is the ratio of both
samples as recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

    def by_moment(self) -> Mapping[Moment, float]:
        """Return each sample by its moment."""
        return dict(zip(self.moments, self.watts, strict=True))


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


def repaired_machine(machine: PowerTrace, *, range_j: float | None = None) -> Repair | Irreparable:
    """Repair the trace of a machine; `range_j` is the counter's range, joules, by default one of RANGES_J."""
    return _repaired(machine, machine.by_moment(), range_j)


def repaired_process(
    process: PowerTrace, machine: PowerTrace | None, *, range_j: float | None = None
) -> Repair | Irreparable:
    """Repair the trace of a process with that of its `machine`; `range_j` as in `repaired_machine`."""
    if machine is None:
        return Irreparable("the process's power is below zero and there is no trace of the machine to repair it by")
    return _repaired(process, machine.by_moment(), range_j)


def _repaired(trace: PowerTrace, machine: Mapping[Moment, float], range_j: float | None) -> Repair | Irreparable:
    if any(isnan(watts) for watts in trace.watts):
        return Irreparable("a sample of the trace is no number, so its sum is not known")
    samples = []
    for sample in _repaired_samples(trace, machine, RANGES_J if range_j is None else (range_j,)):
        if isinstance(sample, Irreparable):
            return sample
        samples.append(sample)
    repaired = iter(samples)
    return Repair(watts=[watts if watts >= 0 else next(repaired).watts for watts in trace.watts], samples=samples)


def _repaired_samples(
    trace: PowerTrace, machine: Mapping[Moment, float], ranges_j: Sequence[float]
) -> Iterator[RepairedSample | Irreparable]:
    """Yield each sample of `trace` below zero after its repair, or, at the end, why one cannot be repaired."""
    for moment, watts in zip(trace.moments, trace.watts, strict=True):
        recorded = machine.get(moment)
        if watts > 0 and recorded is not None and recorded < 0:
            yield Irreparable(f"at {moment[0]} the machine's power is below zero and the process's share of it is not")
            return
        if watts >= 0:
            continue
        if recorded is None:
            yield Irreparable(f"the machine's trace has no sample of {moment[0]}, where the process's is below zero")
            return
        # A machine's sample that is not below zero, or NaN, did not wrap: then there is no share to compute.
        repairs = [(power, range_j) for range_j in ranges_j if (power := _unwrapped(recorded, range_j)) is not None]
        if not repairs:
            yield Irreparable(f"no wrap of the counter explains the machine's {recorded:g} W at {moment[0]}")
            return
        machine_w, range_j = repairs[0]
        yield RepairedSample(
            date=moment[0],
            recorded_machine_w=recorded,
            machine_w=machine_w,
            recorded_w=watts,
            watts=machine_w * (watts / recorded),
            range_j=range_j,
        )


def _unwrapped(watts: float, range_j: float) -> float | None:
    return unwrapped_power_w(watts, seconds=SAMPLE_S, range_j=range_j) if watts < 0 else None
