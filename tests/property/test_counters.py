from dataclasses import dataclass
from math import nan

from hypothesis import given
from hypothesis import strategies as st

from joulefleet.counters import REFRESH_S, Known, Unknown, counter_total


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Readings of a counter and the true energy, uJ."""

    t_ns: tuple[int, ...]
    values: tuple[float, ...]
    range_uj: int
    peak_w: float
    truth_uj: int

    def total(self, first: int = 0, last: int | None = None) -> Known | Unknown:
        """Return the total of the readings from `first` up to `last`."""
        return counter_total(self.t_ns[first:last], self.values[first:last], range_uj=self.range_uj, peak_w=self.peak_w)


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Draw any true energy, wrapped at any range and read so often that the counter cannot wrap unseen."""
    range_uj = draw(st.integers(20_000_000, 2**40))
    peak_w = draw(st.floats(1, 1_000))
    longest_ns = int((range_uj / peak_w / 1e6 - REFRESH_S) * 1e9) - 1_000
    start_uj = draw(st.integers(0, range_uj - 1))
    t_ns, counted = draw(st.integers(0, 2**60)), 0
    readings = [(t_ns, start_uj)]
    for _ in range(draw(st.integers(1, 30))):
        gap_ns = draw(st.integers(0, longest_ns))
        counted += draw(st.integers(0, int(gap_ns / 1e9 * peak_w * 1e6)))
        t_ns += gap_ns
        readings.append((t_ns, (start_uj + counted) % range_uj))
    return Trace(
        t_ns=tuple(t for t, _ in readings),
        values=tuple(v for _, v in readings),
        range_uj=range_uj,
        peak_w=peak_w,
        truth_uj=counted,
    )


@given(traces())
def test_unwrapping_gives_the_truth_back(trace: Trace) -> None:
    """However often the counter wraps between admissible readings, the total is the true one."""
    assert trace.total() == Known(trace.truth_uj)


@given(traces(), st.data())
def test_splitting_a_window_conserves_energy(trace: Trace, data: st.DataObject) -> None:
    """The parts on either side of any reading add up to the whole."""
    cut = data.draw(st.integers(1, max(1, len(trace.values) - 2)))
    if cut + 1 >= len(trace.values):
        return
    before, after = trace.total(0, cut + 1), trace.total(cut)
    assert isinstance(before, Known)
    assert isinstance(after, Known)
    assert before.total + after.total == trace.truth_uj


@given(traces(), st.data())
def test_failed_reads_never_change_a_total(trace: Trace, data: st.DataObject) -> None:
    """With reads lost in the middle the total is the true one, or it is unknown."""
    lost = data.draw(st.sets(st.integers(1, max(1, len(trace.values) - 2))))
    last = len(trace.values) - 1
    values = [nan if i in lost and i != last else value for i, value in enumerate(trace.values)]
    total = counter_total(trace.t_ns, values, range_uj=trace.range_uj, peak_w=trace.peak_w)
    assert isinstance(total, Unknown) or total == Known(trace.truth_uj)


@given(
    st.lists(st.tuples(st.integers(0, 2**50), st.just(nan) | st.integers(-(2**70), 2**70)), max_size=20),
    st.none() | st.integers(0, 2**40),
    st.floats(1, 10_000),
)
def test_no_total_is_negative(rows: list[tuple[int, float]], range_uj: int | None, peak_w: float) -> None:
    """Whatever is read, a total is never below zero."""
    total = counter_total([t for t, _ in rows], [value for _, value in rows], range_uj=range_uj, peak_w=peak_w)
    assert isinstance(total, Unknown) or total.total >= 0


@given(traces())
def test_no_total_exceeds_the_peak_power(trace: Trace) -> None:
    """The mean power of a total is never above the power that the domain can draw."""
    total = trace.total()
    seconds = (trace.t_ns[-1] - trace.t_ns[0]) / 1e9 + REFRESH_S * len(trace.values)
    assert isinstance(total, Known)
    assert total.total <= seconds * trace.peak_w * 1e6
