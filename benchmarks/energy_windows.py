"""Windows over simulated counters, read as the agent reads real ones, with what they truly drew.

The reader is the real one: `open_powercap` on files, `Recorder`, `phase_energies`. Simulated time
makes hours cheap: before each reading the files are brought to what they show at that instant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isnan, nan
from pathlib import Path
from random import Random
from typing import Literal

from peers.codecarbon import EVERY_S

from agent.energy import CounterSeries, counter_series, phase_energies
from agent.recorder import Recorder
from agent.sensors.domains import Domain
from agent.sensors.powercap import open_powercap
from agent.simulation.machine import FINE_UNIT_NJ, INTEL_UNIT_NJ, SimulatedMachine
from agent.simulation.trace import ReadError, Reset, Trace, random_changes
from agent.simulation.tree import SimulatedTree, make_tree
from joulefleet.counters import REFRESH_S, observed_peak_w, slept
from joulefleet.measurement import Phase

Kind = Literal["plain", "late", "errors", "suspend", "reload", "bare", "bare_small"]
"""What happens in a window. `bare_small` is a bare reset of counters that wrap often: nothing tells it."""

KINDS: tuple[Kind, ...] = ("plain", "plain", "plain", "late", "late", "errors", "errors", "suspend", "reload", "bare")

READING_TAKES_NS = 500_000
"""A counter is read so long after the reading's time at most."""

_MOST_READINGS = 500
_START_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """One counter, or one total, over one window."""

    window: int
    """Counters of one window have one number."""
    kind: str
    domain: str
    truth_j: float
    allowed_j: float
    """2 ms of the machine's true peak power, and a count."""
    knowable: bool | None
    """None within the guard's own margin, where either answer is right."""
    ours_j: float | None
    range_uj: int = 0
    edges_uj: tuple[float, float] | None = None
    """What was read at the two marks, NaN where the read failed; None for a total."""
    seldom: tuple[tuple[float, int | None], ...] = ()
    """Seconds and microjoules of readings every 15 s, each with a new descriptor."""


def simulated_window(folder: Path, random: Random, kind: Kind, *, window: int) -> list[Counted]:
    """A window of a random machine, load, length and sampling, in which happens what `kind` says."""
    machine = _machine(random, kind)
    peak_w = max(machine.peaks_mw) / 1000
    # What the reader's guard takes for possible is at most twice what is drawn.
    guard_s = min(d.max_energy_range_uj for d in machine.domains) / 1e6 / max(500.0, 2.4 * peak_w)
    longest_s = 5 * max(d.max_energy_range_uj for d in machine.domains) / 1e6 / peak_w
    length_s = _log_uniform(random, 1.0, max(2.0, longest_s))
    period_s = min(guard_s / 3, max(0.1, length_s / random.uniform(40, _MOST_READINGS)))
    if kind == "bare":
        # No other sign: the counters alone must tell, which they can where a step is small beside their range.
        period_s = min(period_s, 1.0)
    length_s = min(length_s, period_s * _MOST_READINGS)
    end_ns = _START_NS + int(length_s * 1e9)
    trace = Trace(
        machine,
        random_changes(machine, random, length_ns=end_ns, steps=random.randrange(2, 40)),
        seed=random.randrange(2**31),
        resets=_resets(random, kind, end_ns),
        errors=_errors(random, kind, end_ns, period_s, len(machine.domains)),
    )
    late_s = guard_s * random.uniform(0.1, 1.5) if kind == "late" else period_s / 2
    return _read(folder, random, kind, trace, window=window, end_ns=end_ns, period_s=period_s, late_s=late_s)


def judged(
    series: CounterSeries,
    domains: Sequence[Domain],
    phase: Phase,
    *,
    window: int,
    kind: str,
    asleep: bool,
    was_reset: bool,
    truth_j: Callable[[str], float],
    allowed_j: Callable[[str], float],
    seldom: Callable[[str], tuple[tuple[float, int | None], ...]],
) -> list[Counted]:
    """What the agent makes of the readings in `phase`, beside what can be known."""
    energies = phase_energies(
        series, domains, [phase], source="powercap", provenance="simulated", asleep=[phase.name] if asleep else ()
    )
    inside = series.between(phase.start_ns, phase.end_ns)
    knowable = {d.channel: not was_reset and _knowable(series, inside, d) for d in domains}
    found = []
    for energy in energies:
        parts = [d for d in domains if d.channel == energy.domain] or [
            d for d in domains if energy.domain in d.counts_in
        ]
        single = parts[0] if parts[0].channel == energy.domain else None
        said = {knowable[part.channel] for part in parts}
        values = inside.values.get(single.channel, (nan, nan)) if single else ()
        found.append(
            Counted(
                window=window,
                kind=kind,
                domain=energy.domain,
                truth_j=sum(truth_j(part.channel) for part in parts),
                allowed_j=sum(allowed_j(part.channel) for part in parts),
                knowable=False if False in said else None if None in said else True,
                ours_j=energy.joules,
                range_uj=(single.range_uj or 0) if single else 0,
                edges_uj=(values[0], values[-1]) if single else None,
                seldom=seldom(single.channel) if single else (),
            )
        )
    return found


def allowed_j(peak_mw: int, unit_nj: int) -> float:
    """2 ms of the true peak power and one count, joules."""
    return 0.002 * peak_mw / 1000 + unit_nj / 1e9


class _Clock:
    """Simulated time. Whoever asks for it reads files that show the counters as they are a moment later."""

    def __init__(self, trace: Trace, tree: SimulatedTree, random: Random) -> None:
        self.now_ns = _START_NS
        self._trace = trace
        self._tree = tree
        self._random = random
        self._reloads = [reset.t_ns for reset in trace.resets if reset.kind == "reload"]
        self._shown_ns = -1

    def __call__(self) -> int:
        """The time, ns."""
        if self.now_ns != self._shown_ns:
            self._shown_ns = self.now_ns
            self._show(self.now_ns + self._random.randrange(READING_TAKES_NS))
        return self.now_ns

    def _show(self, t_ns: int) -> None:
        while self._reloads and self._reloads[0] <= t_ns:
            self._reloads.pop(0)
            self._tree.reload_driver()
        for place in range(len(self._trace.domains)):
            if self._trace.can_be_read(place, t_ns, opened_ns=t_ns):
                self._tree.show_energy(place, self._trace.counter_uj(place, t_ns))
            else:
                self._tree.hide_energy(place)


def _read(
    folder: Path, random: Random, kind: Kind, trace: Trace, *, window: int, end_ns: int, period_s: float, late_s: float
) -> list[Counted]:
    tree = make_tree(folder, trace.machine, dict(enumerate(range(trace.machine.sockets))))
    clock = _Clock(trace, tree, random)
    # The clock shows the counters at its first instant before they are opened.
    clock()
    sensor, recorder = open_powercap(folder), Recorder(clock)
    recorder.add(sensor, period_s=period_s)
    start_ns = recorder.mark()
    while True:
        late = late_s if random.random() < 0.02 else random.expovariate(1000)
        clock.now_ns = min(end_ns, clock.now_ns + int((period_s + late) * 1e9))
        if clock.now_ns == end_ns:
            break
        recorder.poll()
    recorder.mark()
    series = counter_series(recorder.readings_of(sensor))
    recorder.close()
    tree.close()
    places = {domain.channel: place for place, domain in enumerate(trace.domains)}
    peaks = trace.machine.peaks_mw
    return judged(
        series,
        sensor.domains,
        Phase(name="window", start_ns=start_ns, end_ns=end_ns),
        window=window,
        kind=kind,
        asleep=slept([trace.boottime_ns(t) - t for t in (start_ns, end_ns)]),
        was_reset=any(start_ns < reset.t_ns <= end_ns for reset in trace.resets),
        truth_j=lambda channel: trace.joules(places[channel], start_ns, end_ns),
        allowed_j=lambda channel: allowed_j(peaks[places[channel]], trace.domains[places[channel]].unit_nj),
        seldom=lambda channel: _seldom(trace, places[channel], start_ns, end_ns),
    )


def _seldom(trace: Trace, place: int, start_ns: int, end_ns: int) -> tuple[tuple[float, int | None], ...]:
    times = [*range(start_ns, end_ns, int(EVERY_S * 1e9)), end_ns]
    return tuple(
        (t / 1e9, trace.counter_uj(place, t) if trace.can_be_read(place, t, opened_ns=t) else None) for t in times
    )


def _knowable(series: CounterSeries, inside: CounterSeries, domain: Domain) -> bool | None:
    """Whether both marks were read, and the counter cannot have gone round between two readings.

    That is judged by the highest power that the guard takes for possible: what the limits allow, or
    twice what the readings show.
    """
    values = inside.values.get(domain.channel, ())
    if not values or isnan(values[0]) or isnan(values[-1]):
        return False
    shown_w = observed_peak_w(series.t_ns, series.values[domain.channel], range_uj=domain.range_uj)
    peak_w = max(domain.peak_w, 2 * (shown_w or 0.0))
    good = [t for t, value in zip(inside.t_ns, values, strict=True) if not isnan(value)]
    longest_s = max((after - before) / 1e9 for before, after in pairwise(good))
    range_j = (domain.range_uj or 0) / 1e6
    if longest_s * peak_w >= range_j:
        return False
    return True if (longest_s + REFRESH_S) * peak_w < range_j else None


def _machine(random: Random, kind: Kind) -> SimulatedMachine:
    idle_w = random.uniform(5, 120)
    bits = 32 if kind == "bare" else random.randrange(23, 33)
    return SimulatedMachine(
        sockets=random.randrange(1, 3),
        dies=random.choice([1, 1, 1, 2]),
        dram=random.random() < 0.7,
        core=random.random() < 0.2,
        uncore=random.random() < 0.2,
        psys=random.random() < 0.2,
        unit_nj=random.choice([INTEL_UNIT_NJ, FINE_UNIT_NJ]),
        bits=bits,
        dram_bits=bits,
        idle_w=idle_w,
        busy_w=random.uniform(idle_w, 400),
        noise=random.uniform(0, 0.1),
    )


def _resets(random: Random, kind: Kind, end_ns: int) -> list[Reset]:
    if kind not in {"suspend", "reload", "bare", "bare_small"}:
        return []
    t_ns = random.randrange(_START_NS + 1, end_ns)
    if kind == "suspend":
        return [Reset(t_ns=t_ns, kind=kind, asleep_ns=int(_log_uniform(random, 0.1, 1e5) * 1e9))]
    return [Reset(t_ns=t_ns, kind="reload" if kind == "reload" else "bare")]


def _errors(random: Random, kind: Kind, end_ns: int, period_s: float, domains: int) -> list[ReadError]:
    if kind != "errors":
        return []
    found = []
    for _ in range(random.randrange(1, 6)):
        start_ns = random.randrange(0, end_ns + 1)
        lasts_ns = int(period_s * random.uniform(0.1, 4) * 1e9)
        which = random.choice([None, random.randrange(domains)])
        found.append(ReadError(start_ns=start_ns, end_ns=start_ns + lasts_ns, domain=which))
    return found


def _log_uniform(random: Random, least: float, most: float) -> float:
    return float(least * (most / least) ** random.random())
