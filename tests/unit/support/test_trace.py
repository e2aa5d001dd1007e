"""The simulated machine over simulated time, which tests and benchmarks take their truth from."""

from __future__ import annotations

from random import Random

from agent.simulation.machine import INTEL_UNIT_NJ, REFRESH_JITTER_NS, REFRESH_NS, SimulatedMachine
from tests.support.trace import ReadError, ReplayedTrace, Reset, TraceChange, random_changes

MACHINE = SimulatedMachine(sockets=1, dram=False)
SECOND = 1_000_000_000
STEADY = (TraceChange(t_ns=0, powers_mw=(100_000,)),)


def test_energy_is_the_exact_integral() -> None:
    """Two stretches of different power add up to the last picojoule."""
    trace = ReplayedTrace(MACHINE, [TraceChange(t_ns=0, powers_mw=(100_000,)), TraceChange(t_ns=7, powers_mw=(3,))])
    assert [trace.energy_pj(0, t) for t in (0, 6, 7, 8)] == [0, 600_000, 700_000, 700_003]
    assert ReplayedTrace(MACHINE, STEADY).joules(0, SECOND, 3 * SECOND) == 200.0


def test_the_counter_shows_the_last_refresh() -> None:
    """Between two refreshes it does not change, and it is never older than a refresh and its jitter."""
    trace = ReplayedTrace(MACHINE, STEADY, seed=3)
    for step in range(2000):
        t_ns = SECOND + step * 10_007
        counted = trace.counter_uj(0, t_ns) - trace.counter_uj(0, 0)
        age_uj = trace.energy_pj(0, t_ns) / 1e6 - counted
        assert (
            -INTEL_UNIT_NJ / 1000 - 1
            <= age_uj
            <= (REFRESH_NS + REFRESH_JITTER_NS) / 1e9 * 100e6 + 2 * INTEL_UNIT_NJ / 1000
        )


def test_a_reset_makes_every_counter_begin_at_0() -> None:
    """The true energy goes on."""
    trace = ReplayedTrace(MACHINE, STEADY, resets=[Reset(t_ns=SECOND, kind="bare")])
    assert trace.counter_uj(0, SECOND) == 0
    assert abs(trace.counter_uj(0, 2 * SECOND) - 100_000_000) <= 111_000
    assert trace.joules(0, 0, 2 * SECOND) == 200.0


def test_a_suspend_moves_one_clock_and_not_the_other() -> None:
    """CLOCK_BOOTTIME counts the sleep."""
    trace = ReplayedTrace(MACHINE, STEADY, resets=[Reset(t_ns=SECOND, kind="suspend", asleep_ns=5 * SECOND)])
    assert trace.boottime_ns(SECOND - 1) == SECOND - 1
    assert trace.boottime_ns(SECOND) == 6 * SECOND


def test_descriptors_opened_before_a_reload_read_nothing_after_it() -> None:
    """Those opened afterwards do."""
    trace = ReplayedTrace(MACHINE, STEADY, resets=[Reset(t_ns=10, kind="reload")])
    assert trace.can_be_read(0, 9)
    assert not trace.can_be_read(0, 10)
    assert trace.can_be_read(0, 11, opened_ns=10)


def test_read_errors_pass() -> None:
    """They concern one domain or all, and only for their time."""
    trace = ReplayedTrace(
        SimulatedMachine(sockets=2, dram=False),
        [TraceChange(t_ns=0, powers_mw=(1, 1))],
        errors=[ReadError(start_ns=5, end_ns=6, domain=1), ReadError(start_ns=8, end_ns=9)],
    )
    readable = {t: (trace.can_be_read(0, t), trace.can_be_read(1, t)) for t in (4, 5, 6, 8)}
    assert readable == {4: (True, True), 5: (True, False), 6: (True, True), 8: (False, False)}


def test_random_loads_are_repeatable_and_begin_at_the_start() -> None:
    """A seed is a trace."""
    one, two = (random_changes(MACHINE, Random(5), length_ns=SECOND, steps=10) for _ in range(2))
    assert one == two
    assert one[0].t_ns == 0
    assert len(one) == 10
