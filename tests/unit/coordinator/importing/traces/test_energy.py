"""The energy of an imported run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from coordinator.importing.mapping.spec import Traces
from coordinator.importing.traces.energy import Decision, decide
from coordinator.importing.traces.powerjoular import PowerJoularTrace, RunTraces

WRAPPED = (-262_099.3125, -253_748.125)
"""Power of machine and process in a second in which the counter of the machine wrapped, W."""


def trace(subject: str, *watts: float, total: tuple[float, ...] | None = None) -> PowerJoularTrace:
    """Return a trace of one sample a second."""
    times = [datetime(2023, 5, 17, 10, tzinfo=UTC) + timedelta(seconds=second) for second in range(len(watts))]
    columns = {"CPU Power": watts} | ({} if total is None else {"Total Power": total})
    return PowerJoularTrace(subject=subject, dates=[f"{time:%H:%M:%S}" for time in times], times=times, columns=columns)


def energy(joules: float | None, *traces: PowerJoularTrace, how: Traces | None = None) -> Decision:
    """Return the energy of a run whose table states `joules`."""
    machine = next((one for one in traces if one.subject == "machine"), None)
    processes = tuple(one for one in traces if one.subject != "machine")
    run = RunTraces(machine=machine, processes=processes, memory=None, digests=())
    return decide(joules, run, how or Traces(), by="PowerJoular")


def test_energy_without_a_wrap_is_as_stated() -> None:
    """The traces are not summed: the table is what the tool reported."""
    decision = energy(100.0, trace("machine", 44.0), trace("process", 43.0))
    assert (decision.energy.joules, decision.energy.by) == (100.0, "PowerJoular")
    assert (decision.energy.repair, decision.energy.repaired, decision.readings) == (None, False, ())


def test_a_wrapped_run_is_the_sum_of_the_repaired_trace() -> None:
    """The reason states every step, and the repaired trace is kept as a channel."""
    decision = energy(-253_662.125, trace("machine", 44.0, WRAPPED[0]), trace("process", 43.0, WRAPPED[1]))
    assert decision.energy.joules == pytest.approx(43.0 + 42.61, abs=0.01)
    assert decision.energy.repaired
    assert "wrapped in 1 of 2 samples; its range is assumed to be 262143.328850 J" in str(decision.energy.repair)
    assert "The table said -253662.125 J; the trace as recorded adds up to -253705.125 J." in str(
        decision.energy.repair
    )
    (readings,) = decision.readings
    assert readings.channel.name == "process.cpu_power_repaired"


def test_the_energy_of_a_machine_includes_what_else_the_total_counts() -> None:
    """The total is CPU and GPU, and only the counter of the CPU wrapped."""
    wrapped = trace("machine", 44.0, WRAPPED[0], total=(54.0, WRAPPED[0] + 10.0))
    decision = energy(-1.0, wrapped, how=Traces(energy_of="machine"))
    assert decision.energy.joules == pytest.approx(54.0 + 44.01635 + 10.0, abs=1e-4)
    assert decision.readings[0].channel.name == "machine.cpu_power_repaired"


def test_many_repaired_samples_are_not_all_described() -> None:
    """The reason stays readable."""
    decision = energy(-1.0, trace("machine", *[WRAPPED[0]] * 8), trace("process", *[WRAPPED[1]] * 8))
    assert "; and 3 more." in str(decision.energy.repair)


@pytest.mark.parametrize(
    ("joules", "traces", "why"),
    [
        (None, (), "the table states no energy for this run"),
        (-5.0, (), "the table says -5.0 J, below zero, and there is no trace to rebuild it from"),
        (-5.0, (trace("machine", 44.0),), "no trace shows where a counter wrapped to rebuild it from"),
        (-5.0, (trace("machine", WRAPPED[0]),), "which has traces of no process, so it cannot be rebuilt"),
        (
            -5.0,
            (trace("machine", WRAPPED[0]), trace("process.1", WRAPPED[1]), trace("process.2", 1.0)),
            "which has traces of 2 processes",
        ),
        (-5.0, (trace("process", WRAPPED[1]),), "there is no trace of the machine to repair it by"),
        (-5.0, (trace("machine", 44.0), trace("process", WRAPPED[1])), "no wrap of the counter explains"),
        (-5.0, (trace("machine", WRAPPED[0]), trace("process", 0.0)), "the process's trace does not say why"),
    ],
)
def test_energy_that_cannot_be_known_is_null_with_a_reason(
    joules: float | None, traces: tuple[PowerJoularTrace, ...], why: str
) -> None:
    """It is never guessed."""
    decision = energy(joules, *traces)
    assert (decision.energy.joules, decision.energy.repaired, decision.readings) == (None, False, ())
    assert why in str(decision.energy.repair)


def test_a_wrap_while_the_process_drew_no_power_changes_nothing() -> None:
    """The sum of the process does not contain that second."""
    assert energy(5.0, trace("machine", WRAPPED[0]), trace("process", 0.0)).energy.joules == 5.0
