"""Joules of each GPU and phase from NVML's readings. Pure.

Where the GPU has an energy counter, the energy of a phase is the difference of the counter's reads at the two
marks: the counter has 64 bits of millijoules and never wraps. Where the GPU reports only its power, the power is
integrated by the trapezoidal rule, and the column `source` says so.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from math import isnan

from agent.sensors.gpu.nvml import GpuEnergy
from joulefleet.counters import Unknown
from joulefleet.measurement import Energy, Phase

COUNTED = "nvml"
INTEGRATED = "nvml-power-integrated"

SHORTEST_COUNTED_S = 1.0
"""Shortest phase with a counted energy, seconds. NVML refreshes a counter about every 100 ms (arXiv:2312.02741): in a
shorter phase the error is over 10 %."""

SHORTEST_INTEGRATED_S = 5.0
"""Shortest phase with an integrated energy, seconds. Since Ampere a power is the mean of the past second (NVML's
reference), so up to a second at either end of a phase belongs to its neighbours."""

LONGEST_GAP_S = 2.0
"""Longest time between two readings of the power, seconds, over which it is integrated."""

GoodReadings = Sequence[tuple[int, float]]
"""Times in ns and values, without failed reads."""


def gpu_energies(
    t_ns: Sequence[int],
    values: Mapping[str, Sequence[float]],
    gpus: Sequence[GpuEnergy],
    phases: Sequence[Phase],
    *,
    asleep: Collection[str] = (),
) -> tuple[Energy, ...]:
    """Return the joules of every GPU in every phase, or None with the reason.

    `values` holds the readings at the times `t_ns` by channel: microjoules of a counter, watts of a power, NaN
    where a read failed. `asleep` names the phases in which the machine was suspended.
    """
    return tuple(
        _energy(phase, gpu, _joules(t_ns, values.get(gpu.channel), gpu, phase, asleep=phase.name in asleep))
        for phase in phases
        for gpu in gpus
    )


def _energy(phase: Phase, gpu: GpuEnergy, joules: float | Unknown) -> Energy:
    return Energy(
        phase=phase.name,
        domain=gpu.name,
        source=COUNTED if gpu.how == "counter" else INTEGRATED,
        provenance="measured",
        joules=None if isinstance(joules, Unknown) else joules,
        reason=joules.reason if isinstance(joules, Unknown) else None,
    )


def _joules(
    t_ns: Sequence[int], values: Sequence[float] | None, gpu: GpuEnergy, phase: Phase, *, asleep: bool
) -> float | Unknown:
    if asleep:
        return Unknown(f"the machine was suspended during the phase {phase.name}")
    if gpu.reason is not None:
        return Unknown(gpu.reason)
    shortest_s = SHORTEST_COUNTED_S if gpu.how == "counter" else SHORTEST_INTEGRATED_S
    if phase.seconds < shortest_s:
        return Unknown(f"{phase.seconds:.2f} s is too short: no energy of this GPU under {shortest_s:.0f} s")
    first, last = bisect_left(t_ns, phase.start_ns), bisect_right(t_ns, phase.end_ns)
    if values is None or first >= last or t_ns[first] != phase.start_ns or t_ns[last - 1] != phase.end_ns:
        return Unknown("the GPU was not read at the edge of the phase")
    if all(isnan(value) for value in values[last - 1 :]):
        return Unknown("the GPU could no longer be read: it may be lost")
    if isnan(values[first]) or isnan(values[last - 1]):
        return Unknown("the GPU could not be read at the edge of the phase")
    good = [(t, v) for t, v in zip(t_ns[first:last], values[first:last], strict=True) if not isnan(v)]
    return _counted(good) if gpu.how == "counter" else _integrated(good)


def _counted(good: GoodReadings) -> float | Unknown:
    if any(v1 < v0 for (_, v0), (_, v1) in pairwise(good)):
        return Unknown("the counter stepped back: the driver was reloaded, or the GPU was reset")
    joules = (good[-1][1] - good[0][1]) / 1e6
    return joules if joules > 0 else Unknown("the counter did not move: it is not being refreshed")


def _integrated(good: GoodReadings) -> float | Unknown:
    gap_s = max((t1 - t0) / 1e9 for (t0, _), (t1, _) in pairwise(good))
    if gap_s > LONGEST_GAP_S:
        return Unknown(f"{gap_s:.1f} s without a reading of the power")
    return sum((t1 - t0) / 1e9 * (w0 + w1) / 2 for (t0, w0), (t1, w1) in pairwise(good))
