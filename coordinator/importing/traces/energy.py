"""A run's energy: what the table says, or what can be made of the traces where a counter wrapped. Never a guess."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum

from coordinator.importing.mapping.spec import Traces
from coordinator.importing.model import ReportedEnergy
from coordinator.importing.traces.counter_wrap import (
    SAMPLE_S,
    Irreparable,
    Mended,
    PowerTrace,
    Repair,
    is_wrapped,
    repaired_machine,
    repaired_process,
)
from coordinator.importing.traces.powerjoular import PowerJoularTrace, RunTraces, repaired_readings
from joulefleet.measurement import Readings

_MOST_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The energy of a run, and what was repaired for it as readings."""

    energy: ReportedEnergy
    readings: tuple[Readings, ...] = ()


def decide(said_j: float | None, traces: RunTraces, how: Traces, *, by: str | None) -> Decision:
    """The energy of a run whose table says `said_j` joules, reported by `by`."""
    if said_j is None:
        return _none(by, "the table says no energy of this run")
    machine = None if traces.machine is None else traces.machine.power()
    if how.energy_of == "machine":
        if machine is not None and is_wrapped(machine):
            return _rebuilt_machine(said_j, traces, machine, how, by)
    elif any(is_wrapped(_power(trace)) for trace in traces.processes) or (machine and is_wrapped(machine)):
        return _rebuilt_process(said_j, traces, machine, how, by)
    if said_j < 0:
        why = "no trace shows where a counter wrapped" if traces.machine or traces.processes else "there is no trace"
        return _none(by, f"the table says {said_j!r} J, below zero, and {why} to rebuild it from")
    return Decision(energy=ReportedEnergy(joules=said_j, by=by))


def _rebuilt_process(
    said_j: float, traces: RunTraces, machine: PowerTrace | None, how: Traces, by: str | None
) -> Decision:
    if len(traces.processes) != 1:
        many = "no process" if not traces.processes else f"{len(traces.processes)} processes"
        why = f"the machine's counter wrapped in this run, which has traces of {many}, so it cannot be rebuilt"
        return _none(by, f"{why}; the table says {said_j!r} J")
    (process,) = traces.processes
    power = _power(process)
    repair = repaired_process(power, machine, range_j=how.range_j)
    if isinstance(repair, Irreparable):
        return _none(by, f"{repair.reason}; the table says {said_j!r} J")
    if not repair.mended:
        # The machine's counter wrapped while the process drew nothing, or before it began.
        return _as_said(said_j, by)
    joules, recorded = repair.joules, fsum(power.watts) * SAMPLE_S
    text = _told(repair, "process", joules, said_j=said_j, recorded_j=recorded)
    energy = ReportedEnergy(joules=joules, by=by, repair=text, repaired=True)
    return _repaired(traces, process, repair, energy)


def _rebuilt_machine(said_j: float, traces: RunTraces, power: PowerTrace, how: Traces, by: str | None) -> Decision:
    assert traces.machine is not None
    repair = repaired_machine(power, range_j=how.range_j)
    total = traces.machine.power("Total Power")
    if isinstance(repair, Irreparable):
        return _none(by, f"{repair.reason}; the table says {said_j!r} J")
    # The total is CPU and GPU, and only the CPU's counter wrapped.
    added = [mended.watts - mended.said_w for mended in repair.mended]
    recorded = fsum((power if total is None else total).watts) * SAMPLE_S
    joules = fsum([recorded, *(watts * SAMPLE_S for watts in added)])
    text = _told(repair, "machine", joules, said_j=said_j, recorded_j=recorded)
    energy = ReportedEnergy(joules=joules, by=by, repair=text, repaired=True)
    return _repaired(traces, traces.machine, repair, energy)


def _as_said(said_j: float, by: str | None) -> Decision:
    if said_j < 0:
        return _none(by, f"the table says {said_j!r} J, below zero, and the process's trace does not say why")
    return Decision(energy=ReportedEnergy(joules=said_j, by=by))


def _none(by: str | None, why: str) -> Decision:
    return Decision(energy=ReportedEnergy(joules=None, by=by, repair=f"no energy: {why}"))


def _repaired(traces: RunTraces, trace: PowerJoularTrace, repair: Repair, energy: ReportedEnergy) -> Decision:
    if energy.joules is None or not energy.joules >= 0:
        return _none(energy.by, f"the sum of the repaired trace is no energy. {energy.repair}")
    first = min(min(each.times) for each in (traces.machine, *traces.processes) if each is not None and each.times)
    return Decision(energy=energy, readings=(repaired_readings(trace, repair.watts, first),))


def _told(repair: Repair, of: str, joules: float, *, said_j: float, recorded_j: float) -> str:
    ranges = " or ".join(f"{range_j:.6f} J" for range_j in sorted({mended.range_j for mended in repair.mended}))
    steps = "; ".join(_step(mended, of) for mended in repair.mended[:_MOST_SHOWN])
    more = len(repair.mended) - _MOST_SHOWN
    return (
        f"The machine's energy counter wrapped in {len(repair.mended)} of {len(repair.watts)} samples; its range is "
        f"taken for {ranges}, added over the sample's second. {steps}{f'; and {more} more' if more > 0 else ''}. "
        f"The total is the sum of the {of}'s repaired trace, a second each sample: {joules:.10g} J. "
        f"The table said {said_j!r} J; the trace as recorded adds up to {recorded_j:.10g} J."
    )


def _step(mended: Mended, of: str) -> str:
    machine = f"{mended.date}: the machine's {mended.machine_said_w!r} W became {mended.machine_w:.6g} W"
    if of == "machine":
        return machine
    return f"{machine}, and the process's {mended.said_w!r} W became {mended.watts:.6g} W"


def _power(trace: PowerJoularTrace) -> PowerTrace:
    power = trace.power()
    assert power is not None  # no trace is read without it
    return power
