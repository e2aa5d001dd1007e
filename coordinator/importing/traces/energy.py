"""The energy of an imported run: what the table states, or the sum of a repaired trace where a counter wrapped."""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum

from coordinator.importing.mapping.spec import Traces
from coordinator.importing.model import ReportedEnergy
from coordinator.importing.traces.counter_wrap import (
    SAMPLE_S,
    Irreparable,
    PowerTrace,
    Repair,
    RepairedSample,
    is_wrapped,
    repaired,
)
from coordinator.importing.traces.powerjoular import PowerJoularTrace, RunTraces, repaired_readings
from joulefleet.measurement import Readings

_MAX_SHOWN = 5
"""Most repaired samples that `energy_repair` describes one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The energy of a run, and the readings of its repaired trace."""

    energy: ReportedEnergy
    readings: tuple[Readings, ...] = ()


def decide(table_j: float | None, traces: RunTraces, how: Traces, *, by: str | None) -> Decision:
    """Return the energy of a run, of which the table states `table_j` joules as reported by `by`.

    A run whose counter wrapped is rebuilt from `traces`; where that is impossible its energy is null, with
    the reason.
    """
    if table_j is None:
        return _none(by, "the table states no energy for this run")
    machine = None if traces.machine is None else traces.machine.power()
    if how.energy_of == "machine":
        if machine is not None and is_wrapped(machine):
            return _rebuilt_machine(table_j, traces, machine, how, by)
    elif any(is_wrapped(_power(trace)) for trace in traces.processes) or (machine and is_wrapped(machine)):
        return _rebuilt_process(table_j, traces, machine, how, by)
    trace = "no trace shows where a counter wrapped" if traces.machine or traces.processes else "there is no trace"
    return _as_stated(table_j, by, f"{trace} to rebuild it from")


def _rebuilt_process(
    table_j: float, traces: RunTraces, machine: PowerTrace | None, how: Traces, by: str | None
) -> Decision:
    if len(traces.processes) != 1:
        many = "no process" if not traces.processes else f"{len(traces.processes)} processes"
        why = f"the machine's counter wrapped in this run, which has traces of {many}, so it cannot be rebuilt"
        return _none(by, f"{why}; the table says {table_j!r} J")
    (process,) = traces.processes
    power = _power(process)
    if machine is None:
        why = "the process's power is below zero and there is no trace of the machine to repair it by"
        return _none(by, f"{why}; the table says {table_j!r} J")
    repair = repaired(power, machine, range_j=how.range_j)
    if isinstance(repair, Irreparable):
        return _none(by, f"{repair.reason}; the table says {table_j!r} J")
    if not repair.samples:
        # The machine's counter wrapped while the process drew no power, or before it began.
        return _as_stated(table_j, by, "the process's trace does not say why")
    recorded_j = fsum(power.watts) * SAMPLE_S
    return _rebuilt(traces, process, repair, repair.joules, table_j=table_j, recorded_j=recorded_j, by=by)


def _rebuilt_machine(table_j: float, traces: RunTraces, power: PowerTrace, how: Traces, by: str | None) -> Decision:
    assert traces.machine is not None
    repair = repaired(power, power, range_j=how.range_j)
    if isinstance(repair, Irreparable):
        return _none(by, f"{repair.reason}; the table says {table_j!r} J")
    # The total is the power of CPU and GPU, and only the CPU's counter wrapped.
    total = traces.machine.power("Total Power")
    recorded_j = fsum((power if total is None else total).watts) * SAMPLE_S
    joules = fsum([recorded_j, *((sample.watts - sample.recorded_w) * SAMPLE_S for sample in repair.samples)])
    return _rebuilt(traces, traces.machine, repair, joules, table_j=table_j, recorded_j=recorded_j, by=by)


def _rebuilt(
    traces: RunTraces,
    trace: PowerJoularTrace,
    repair: Repair,
    joules: float,
    *,
    table_j: float,
    recorded_j: float,
    by: str | None,
) -> Decision:
    subject = "machine" if trace is traces.machine else "process"
    text = _repair_text(repair, subject, joules, table_j=table_j, recorded_j=recorded_j)
    if not joules >= 0:
        return _none(by, f"the sum of the repaired trace is no energy. {text}")
    first = min(min(each.times) for each in (traces.machine, *traces.processes) if each is not None and each.times)
    energy = ReportedEnergy(joules=joules, by=by, repair=text, repaired=True)
    return Decision(energy=energy, readings=(repaired_readings(trace, repair.watts, first),))


def _as_stated(table_j: float, by: str | None, why_negative: str) -> Decision:
    """Return the energy of the table; `why_negative` is the reason to give where it is below zero."""
    if table_j < 0:
        return _none(by, f"the table says {table_j!r} J, below zero, and {why_negative}")
    return Decision(energy=ReportedEnergy(joules=table_j, by=by))


def _none(by: str | None, why: str) -> Decision:
    return Decision(energy=ReportedEnergy(joules=None, by=by, repair=f"no energy: {why}"))


def _repair_text(repair: Repair, of: str, joules: float, *, table_j: float, recorded_j: float) -> str:
    ranges = " or ".join(f"{range_j:.6f} J" for range_j in sorted({sample.range_j for sample in repair.samples}))
    steps = "; ".join(_sample_text(sample, of) for sample in repair.samples[:_MAX_SHOWN])
    more = len(repair.samples) - _MAX_SHOWN
    steps += f"; and {more} more" if more > 0 else ""
    return (
        f"The machine's energy counter wrapped in {len(repair.samples)} of {len(repair.watts)} samples; its range is "
        f"assumed to be {ranges}, which was added over the sample's second. {steps}. "
        f"The total is the sum of the {of}'s repaired trace, each sample taken as one second: {joules:.10g} J. "
        f"The table said {table_j!r} J; the trace as recorded adds up to {recorded_j:.10g} J."
    )


def _sample_text(sample: RepairedSample, of: str) -> str:
    machine = f"{sample.date}: the machine's {sample.recorded_machine_w!r} W became {sample.machine_w:.6g} W"
    if of == "machine":
        return machine
    return f"{machine}, and the process's {sample.recorded_w!r} W became {sample.watts:.6g} W"


def _power(trace: PowerJoularTrace) -> PowerTrace:
    power = trace.power()
    assert power is not None  # a trace without power is not read
    return power
