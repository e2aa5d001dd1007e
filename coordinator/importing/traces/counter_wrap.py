"""Traces of power in which an energy counter wrapped, made whole again: exactly, or not at all. Pure.

A tool that stores watts per sample from a counter, without minding its wraps, has a sample that is
below zero by the counter's range. The machine's sample plus the range over the sample's second is
the machine's power. The power of a process is a share of the machine's, so it is the machine's
repaired power times the share, which is the ratio of both samples as they were recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, isnan

from joulefleet.counters import ASSUMED_RANGE_UJ, COMMON_RANGE_J, unwrapped_power_w

SAMPLE_S = 1.0
"""PowerJoular samples once a second, and its totals count each sample as a second."""

RANGES_J = (COMMON_RANGE_J, ASSUMED_RANGE_UJ / 1e6)
"""Of Intel's packages: 2^32 units of 61 uJ (some 262,143 J) and of 15.3 uJ (some 65,536 J)."""

Moment = tuple[str, int]
"""A sample's date as it was recorded, and which of the samples of that date it is, from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerTrace:
    """Samples of power as they were recorded, W; NaN where nothing was."""

    moments: Sequence[Moment]
    watts: Sequence[float]

    def at(self) -> Mapping[Moment, float]:
        """Each sample by its moment."""
        return dict(zip(self.moments, self.watts, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """One sample that was below zero."""

    date: str
    machine_said_w: float
    machine_w: float
    said_w: float
    watts: float
    range_j: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """A trace without samples below zero, and what was mended in it."""

    watts: Sequence[float]
    mended: Sequence[Mended]

    @property
    def joules(self) -> float:
        """The sum of the samples, each of a second."""
        return fsum(self.watts) * SAMPLE_S


@dataclass(frozen=True, slots=True)
class Irreparable:
    """No repair, and why."""

    reason: str


def is_wrapped(trace: PowerTrace) -> bool:
    """Whether a sample of `trace` is below zero."""
    return any(watts < 0 for watts in trace.watts)


def repaired_machine(machine: PowerTrace, *, range_j: float | None = None) -> Repair | Irreparable:
    """The machine's trace made whole; `range_j` is the counter's range, None: one of RANGES_J."""
    return _repaired(machine, machine.at(), range_j)


def repaired_process(
    process: PowerTrace, machine: PowerTrace | None, *, range_j: float | None = None
) -> Repair | Irreparable:
    """The trace of a process made whole by that of its `machine`; `range_j` as above."""
    if machine is None:
        return Irreparable("the process's power is below zero and there is no trace of the machine to repair it by")
    return _repaired(process, machine.at(), range_j)


def _repaired(trace: PowerTrace, machine: Mapping[Moment, float], range_j: float | None) -> Repair | Irreparable:
    if any(isnan(watts) for watts in trace.watts):
        return Irreparable("a sample of the trace is no number, so that its sum is not known")
    mended = []
    for step in _mended(trace, machine, RANGES_J if range_j is None else (range_j,)):
        if isinstance(step, Irreparable):
            return step
        mended.append(step)
    whole = iter(mended)
    return Repair(watts=[watts if watts >= 0 else next(whole).watts for watts in trace.watts], mended=mended)


def _mended(
    trace: PowerTrace, machine: Mapping[Moment, float], ranges_j: Sequence[float]
) -> Iterator[Mended | Irreparable]:
    for moment, watts in zip(trace.moments, trace.watts, strict=True):
        said = machine.get(moment)
        if watts > 0 and said is not None and said < 0:
            yield Irreparable(f"at {moment[0]} the machine's power is below zero and the process's share of it is not")
            return
        if watts >= 0:
            continue
        if said is None:
            yield Irreparable(f"the machine's trace has no sample of {moment[0]}, where the process's is below zero")
            return
        # A sample that is not below zero, or NaN, did not wrap: no share of it is.
        found = [(repaired, range_j) for range_j in ranges_j if (repaired := _unwrapped(said, range_j)) is not None]
        if not found:
            yield Irreparable(f"no wrap of the counter explains the machine's {said:g} W at {moment[0]}")
            return
        repaired, range_j = found[0]
        yield Mended(
            date=moment[0],
            machine_said_w=said,
            machine_w=repaired,
            said_w=watts,
            watts=repaired * (watts / said),
            range_j=range_j,
        )


def _unwrapped(watts: float, range_j: float) -> float | None:
    return unwrapped_power_w(watts, seconds=SAMPLE_S, range_j=range_j) if watts < 0 else None
