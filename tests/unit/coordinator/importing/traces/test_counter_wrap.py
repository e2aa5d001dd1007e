"""Traces of power in which a counter wrapped."""

from __future__ import annotations

from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.importing.traces.counter_wrap import (
    RANGES_J,
    Irreparable,
    PowerTrace,
    Repair,
    is_wrapped,
    repaired,
)


def trace(*watts: float, first: int = 0) -> PowerTrace:
    """Return samples of successive seconds."""
    moments = [(f"2023-05-17 10:00:{second:02}", 0) for second in range(first, first + len(watts))]
    return PowerTrace(moments=moments, watts=watts)


@pytest.mark.parametrize(
    ("machine_w", "process_w", "machine", "process"),
    [(-262099.3125, -253748.125, 44.02, 42.61), (-262096.20313, -257532.359, 47.13, 46.31)],
)
def test_the_published_seconds_are_repaired_to_values_between_their_neighbours(
    machine_w: float, process_w: float, machine: float, process: float
) -> None:
    """A counter of 262,143 J wrapped; the share of the process stays as recorded."""
    repair = repaired(trace(43.0, process_w, 43.5), trace(43.77, machine_w, 44.38))
    assert isinstance(repair, Repair)
    (sample,) = repair.samples
    assert round(sample.machine_w, 2) == machine
    assert round(sample.watts, 2) == process
    assert sample.watts == pytest.approx(sample.machine_w * (process_w / machine_w), rel=1e-15)
    assert repair.joules == pytest.approx(43.0 + sample.watts + 43.5, rel=1e-15)
    assert sample.range_j == 262_143.328850


def test_the_smaller_range_is_used_where_it_explains_the_sample() -> None:
    """The sample is some 65,536 W below zero."""
    repair = repaired(trace(-65_000.0), trace(-65_490.0))
    assert isinstance(repair, Repair)
    assert repair.samples[0].range_j == 65_532.610987
    assert repair.samples[0].machine_w == pytest.approx(42.610987)


@given(
    watts=st.floats(1, 400), share=st.floats(0.01, 1), range_j=st.sampled_from(RANGES_J), others=st.lists(st.just(40.0))
)
def test_any_single_wrap_is_repaired_exactly(watts: float, share: float, range_j: float, others: list[float]) -> None:
    """This holds for any power of the machine and any share of the process."""
    machine, process = watts - range_j, (watts - range_j) * share
    repair = repaired(trace(process, *others), trace(machine, *others))
    assert isinstance(repair, Repair)
    assert repair.samples[0].machine_w == pytest.approx(watts, rel=1e-9)
    assert repair.samples[0].watts == pytest.approx(watts * share, rel=1e-9)
    assert list(repair.watts[1:]) == others


def test_a_machine_alone_is_repaired_as_well() -> None:
    """Some tables state the energy of the machine."""
    machine = trace(40.0, -262099.3125)
    repair = repaired(machine, machine)
    assert isinstance(repair, Repair)
    assert repair.joules == pytest.approx(84.01635)


@pytest.mark.parametrize(
    ("process", "machine", "why"),
    [
        (trace(-253748.125, first=1), trace(44.0), "no sample of 2023-05-17 10:00:01"),
        (trace(-253748.125), trace(44.0), "no wrap of the counter explains the machine's 44 W"),
        (trace(-100.0), trace(-120.0), "no wrap of the counter explains"),
        (trace(-520_000.0), trace(-524_200.0), "no wrap of the counter explains"),
        (trace(40.0), trace(-262099.3125), "the process's share of it is not"),
        (trace(nan, -253748.125), trace(44.0, -262099.3125), "no number"),
    ],
)
def test_a_sample_that_no_single_wrap_explains_is_not_repaired(
    process: PowerTrace, machine: PowerTrace, why: str
) -> None:
    """Two wraps in a second, wrong data or a missing sample: nothing is guessed, and the reason is given."""
    repair = repaired(process, machine)
    assert isinstance(repair, Irreparable)
    assert why in repair.reason


def test_a_stated_range_is_the_only_one() -> None:
    """The user knows the machine."""
    assert isinstance(repaired(trace(-253748.125), trace(-262099.3125), range_j=65_532.610987), Irreparable)
    assert isinstance(repaired(trace(-99_950.0), trace(-99_960.0), range_j=100_000.0), Repair)


def test_seconds_with_two_samples_are_told_apart() -> None:
    """A clock of whole seconds records some of them twice: the first sample belongs to the first."""
    twice = [("2023-05-17 10:00:00", 0), ("2023-05-17 10:00:00", 1)]
    process = PowerTrace(moments=twice, watts=[20.0, -253748.125])
    machine = PowerTrace(moments=twice, watts=[40.0, -262099.3125])
    repair = repaired(process, machine)
    assert isinstance(repair, Repair)
    assert repair.watts[0] == 20.0


def test_a_trace_above_zero_is_not_wrapped() -> None:
    """Neither is a trace without samples."""
    assert not is_wrapped(trace(0.0, 44.0, nan))
    assert not is_wrapped(trace())
    assert is_wrapped(trace(44.0, -262099.3125))
